"""Chooses F-EP's r_l and r_h on training clips: python scripts/select_fep.py model=tsm"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["select-fep", *sys.argv[1:]]))
