"""Makes figures of the papers, all of them or those named: python scripts/figure.py fep_2"""

import sys

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["figure", *sys.argv[1:]]))
