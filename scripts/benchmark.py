"""Times explainers, networks and loading: python scripts/benchmark.py models"""

from vxbench.commands.benchmark import main

if __name__ == "__main__":
    raise SystemExit(main())
