"""Chooses F-EP's r_l and r_h on training clips: python scripts/select_fep.py model=tsm"""

from vxbench.commands.select_fep import main

if __name__ == "__main__":
    raise SystemExit(main())
