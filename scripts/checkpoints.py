"""Says which weights are there; fetches the others: python scripts/checkpoints.py download=true"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["checkpoints", *sys.argv[1:]]))
