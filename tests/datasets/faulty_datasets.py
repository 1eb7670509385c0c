"""Data sets that misbehave in a decoding process. In a module of their own so that the process can import them."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.errors import ClipError


class Scripted(VideoDataset):
    """Clip "<deed>-<number>" does its deed, or loads one frame full of its number."""

    def __init__(self, *ids):
        self.clips = [ClipRef(id, Path(id), 0) for id in ids]

    def load(self, ref):
        deed, number = ref.id.split("-")
        DEEDS[deed]()
        return Clip(np.full((1, 2, 2, 3), int(number), dtype=np.uint8))


class WithProcess(VideoDataset):
    """Its clips hold what a decoding process is: its id and whether torch is imported there."""

    def load(self, ref):
        return Clip(np.array([os.getpid(), "torch" in sys.modules, hasattr(sys.modules["__main__"], "parse")]))


def refuse():
    raise ClipError("missing", "gone")


def fail():
    raise ZeroDivisionError("a bug")


DEEDS = {
    "good": lambda: None,
    "slow": lambda: time.sleep(0.3),
    "exit": lambda: os._exit(3),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda: time.sleep(1000),
    "refuse": refuse,
    "fail": fail,
}
