"""Times explainers, networks and loading: python scripts/benchmark.py models"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["benchmark", *sys.argv[1:]]))
