"""Explain a video of your own: python scripts/explain.py video=my.mp4 model=tsm explainer=fep (docs/explain.md)"""

import sys

from vxbench.commands.explain import main

if __name__ == "__main__":
    sys.exit(main())
