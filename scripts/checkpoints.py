"""Which checkpoints are there; fetch the others: python scripts/checkpoints.py download=true"""

import sys

from vxbench.commands.checkpoints import main

if __name__ == "__main__":
    sys.exit(main())
