"""Copies the results of a clean run to results/reference: python scripts/reference.py"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["reference", *sys.argv[1:]]))
