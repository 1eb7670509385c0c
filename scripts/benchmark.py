"""Where the time goes: the network, and what an explainer does outside it.

python scripts/benchmark.py [--device cuda] [--models r2plus1d tsm] [--explainers ep3d step fep] [--iterations 3]
"""

import sys

from vxbench.runner.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
