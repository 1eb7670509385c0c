"""Generates the mini data: python scripts/make_mini.py --root data/mini"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["make-mini", *sys.argv[1:]]))
