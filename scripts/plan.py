"""What a table would compute and what it lacks, before it is run: python scripts/plan.py --table 1 --profile paper"""

import sys

from vxbench.commands.plan import main

if __name__ == "__main__":
    sys.exit(main())
