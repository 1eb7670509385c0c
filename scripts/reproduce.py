"""Makes tables of the papers beside their published numbers: python scripts/reproduce.py --table 1 --paper fep"""

from vxbench.commands.reproduce import main

if __name__ == "__main__":
    raise SystemExit(main())
