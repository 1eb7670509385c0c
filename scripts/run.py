"""Runs one cell, a sweep (-m) or a table: python scripts/run.py +table=fep_1"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["run", *sys.argv[1:]]))
