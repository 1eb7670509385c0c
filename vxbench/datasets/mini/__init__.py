"""Mini data sets, generated in the layouts of the real ones: the class is in the motion, and boxes are exact."""

import json
from pathlib import Path

MANIFEST = "manifest.json"  # below the root: what was generated there


def is_below(root: Path) -> bool:
    """Whether the generated data lie below root, by their manifest."""
    try:
        return "plan" in json.loads((root / MANIFEST).read_bytes())
    except (OSError, ValueError, TypeError):
        return False
