"""Trains one network: python scripts/train.py model=tsm"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
