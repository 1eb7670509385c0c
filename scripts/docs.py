"""Writes docs/choices.md: python scripts/docs.py"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["docs", *sys.argv[1:]]))
