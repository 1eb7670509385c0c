"""Timings: python scripts/benchmark.py explainers | models | loading (each with --help)."""

import sys

from vxbench.commands.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
