"""Checks the data sets below a folder: python scripts/check_data.py --profile paper --root /data"""

from vxbench.commands.check_data import main

if __name__ == "__main__":
    raise SystemExit(main())
