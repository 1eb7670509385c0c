"""Makes figures of the papers, all of them or those named: python scripts/figure.py fep_2"""

from vxbench.commands.figure import main

if __name__ == "__main__":
    raise SystemExit(main())
