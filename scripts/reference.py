"""Copies the results of a clean run to results/reference: python scripts/reference.py"""

from vxbench.commands.reference import main

if __name__ == "__main__":
    raise SystemExit(main())
