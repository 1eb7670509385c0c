"""Explains a video of your own: python scripts/explain.py video=my.mp4 model=tsm explainer=fep"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["explain", *sys.argv[1:]]))
