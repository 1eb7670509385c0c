"""Writes docs/choices.md. See docs/choices.yaml."""

import sys
from pathlib import Path

from vxbench.runner.choices import main

if __name__ == "__main__":
    sys.exit(main([str(Path(__file__).parents[1] / "docs/choices.yaml")]))
