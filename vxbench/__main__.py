"""Runs `vxbench` as `python -m vxbench`."""

from vxbench.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
