"""Data sets that misbehave in a decoding process. In a module of their own so that the process can import them."""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.errors import ClipError


class Scripted(VideoDataset):
    """Clip "<deed>-<number>" does its deed, or loads one frame full of its number."""

    def __init__(self, *ids):
        super().__init__(frames=1, height=2, width=2)
        self.clips = [ClipRef(id, Path(id), 0) for id in ids]

    def load(self, ref):
        deed, number = ref.id.split("-")
        DEEDS[deed]()
        return Clip(np.full((1, 2, 2, 3), int(number), dtype=np.uint8))


class WithProcess(VideoDataset):
    """Its clips hold what a decoding process is: its id and whether torch is imported there."""

    def __init__(self):
        super().__init__(frames=1, height=2, width=2)

    def load(self, ref):
        return Clip(np.array([os.getpid(), "torch" in sys.modules, hasattr(sys.modules["__main__"], "parse")]))


class Videos(VideoDataset):
    """Videos at given paths; the `action` of a clip holds the indices of its frames."""

    def __init__(self, *paths, **view):
        super().__init__(**view)
        self.classes = ["any"]
        self.clips = [ClipRef(str(path), Path(path), 0) for path in paths]

    def annotate(self, ref, sampled):
        return {"action": sampled.indices}


class FaultyVideos(Videos):
    """Videos "<deed>-<number>", through a decoder that does the deed where it opens them."""

    def read(self, ref, pick):
        DEEDS[ref.path.stem.split("-")[0]]()
        return super().read(ref, pick)


def refuse():
    raise ClipError("missing", "gone")


def fail():
    raise ZeroDivisionError("a bug")


def stall():
    """Lets the process send half of the clip, and then nothing."""

    def half(connection, content):
        os.write(connection.fileno(), content[: len(content) // 2])
        time.sleep(1000)

    Connection._send = half


DEEDS = {
    "good": lambda: None,
    "slow": lambda: time.sleep(0.3),
    "exit": lambda: os._exit(3),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda: time.sleep(1000),
    "stall": stall,
    "refuse": refuse,
    "fail": fail,
}
