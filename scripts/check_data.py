"""Check the data sets below a folder: python scripts/check_data.py --root data/mini"""

import sys

from vxbench.datasets.check import main

if __name__ == "__main__":
    sys.exit(main())
