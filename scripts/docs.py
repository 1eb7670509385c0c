"""Writes docs/choices.md: python scripts/docs.py"""

from vxbench.commands.docs import main

if __name__ == "__main__":
    raise SystemExit(main())
