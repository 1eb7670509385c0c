"""A table of the papers beside its published numbers: python scripts/reproduce.py --table 1 --paper fep"""

from vxbench.commands.reproduce import main

if __name__ == "__main__":
    main()
