"""Writes one page of all tables, curves, maps and values: python scripts/report.py --results results"""

from vxbench.commands.report import main

if __name__ == "__main__":
    raise SystemExit(main())
