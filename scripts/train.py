"""Trains one network: python scripts/train.py model=tsm"""

from vxbench.commands.train import main

if __name__ == "__main__":
    raise SystemExit(main())
