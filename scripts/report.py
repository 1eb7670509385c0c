"""Writes one page of all tables, curves, maps and values: python scripts/report.py --results results"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["report", *sys.argv[1:]]))
