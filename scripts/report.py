"""One page of every table, curve, map and value in a folder of results: python scripts/report.py [--results results]"""

from vxbench.commands.report import main

if __name__ == "__main__":
    main()
