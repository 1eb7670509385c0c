"""Settings of all tests, and tests/toys.py made importable from every test folder."""

import os
import sys
from pathlib import Path

# Before torch is imported: on small tensors and shared machines more threads are slower, several times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")
sys.path.insert(0, str(Path(__file__).parent))
