"""Writes docs/choices.md. See docs/choices.yaml."""

import sys
from pathlib import Path

from vxbench.commands.docs import main

if __name__ == "__main__":
    sys.exit(main([str(Path(__file__).parents[1] / "docs/choices.yaml")]))
