"""Makes tables of the papers beside their published numbers: python scripts/reproduce.py --table 1 --paper fep"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["reproduce", *sys.argv[1:]]))
