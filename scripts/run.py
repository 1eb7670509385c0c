"""Runs one cell, a sweep (-m) or a table: python scripts/run.py +table=fep_1"""

from vxbench.commands.run import main

if __name__ == "__main__":
    raise SystemExit(main())
