"""Says what tables would compute and what they lack: python scripts/plan.py --table 1 --profile paper"""

from vxbench.commands.plan import main

if __name__ == "__main__":
    raise SystemExit(main())
