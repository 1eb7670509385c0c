"""Says what tables would compute and what they lack: python scripts/plan.py --table 1 --profile paper"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["plan", *sys.argv[1:]]))
