"""The results of a clean run copied to results/reference: python scripts/reference.py"""

from vxbench.commands.reference import main

if __name__ == "__main__":
    main()
