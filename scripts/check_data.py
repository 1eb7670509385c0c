"""Checks the data sets below a folder: python scripts/check_data.py --profile paper --root /data"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["check-data", *sys.argv[1:]]))
