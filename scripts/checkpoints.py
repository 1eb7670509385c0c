"""Says which weights are there; fetches the others: python scripts/checkpoints.py download=true"""

from vxbench.commands.checkpoints import main

if __name__ == "__main__":
    raise SystemExit(main())
