"""Make the mini data set: python scripts/make_mini.py --root data/mini"""

import sys

from vxbench.commands.make_mini import main

if __name__ == "__main__":
    sys.exit(main())
