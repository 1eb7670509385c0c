"""Generates the mini data: python scripts/make_mini.py --root data/mini"""

from vxbench.commands.make_mini import main

if __name__ == "__main__":
    raise SystemExit(main())
