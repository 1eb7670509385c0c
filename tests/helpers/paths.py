"""Folders of the checkout that tests look into."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
MINI = ROOT / "data" / "mini"  # what `make mini` makes
GOLDEN = ROOT / "tests" / "golden"
SHARED = Path(os.environ.get("VXBENCH_SHARED", ROOT.parent / "shared"))  # real clips, where they are beside the project
