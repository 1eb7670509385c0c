"""Times the loading of clips: decoded and resized anew, and from the cache."""

import argparse
import time
from itertools import cycle, islice

from vxbench.config import compose, options
from vxbench.costs.options import check_counts, check_names
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.errors import UserError
from vxbench.files import scratch
from vxbench.ranges import whole
from vxbench.runner.data import open_dataset

CHUNK = 64  # clips held in memory at a time


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", default="ucf101_24", help="of conf/dataset")
    parser.add_argument("--profile", default="mini", help="which data")
    parser.add_argument("--clips", type=int, default=1000, help="clips loaded; the data set's, over and over")
    parser.add_argument("--size", type=int, nargs=3, default=[16, 112, 112], metavar=("T", "H", "W"))
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")


def run(given: argparse.Namespace) -> None:
    check_names("dataset", [given.dataset], options("dataset"))
    check_names("profile", [given.profile], options("profile"))
    check_counts(given, "clips", "workers")
    for length in given.size:
        whole("--size", length, 1)
    size = "x".join(map(str, given.size))
    print(f"{given.dataset}, {given.clips} clips of {size}, {given.workers} workers")
    with scratch() as cache, DecodePool(given.workers) as pool:
        plain, kept = (opened(given, folder) for folder in ("null", cache))
        refs = list(islice(cycle(plain.clips), given.clips))
        load(plain, refs[: given.workers], pool)  # the processes are up
        print(f"decoded:    {len(refs) / load(plain, refs, pool):7.1f} clips/s", flush=True)
        load(kept, list(dict.fromkeys(refs)), pool)
        print(f"from cache: {len(refs) / load(kept, refs, pool):7.1f} clips/s", flush=True)


def opened(given: argparse.Namespace, cache: str) -> VideoDataset:
    """All clips of the data set's training split, as a model of this input size would see them."""
    frames, height, width = given.size
    view = [f"dataset.frames={frames}", f"dataset.height={height}", f"dataset.width={width}", f"dataset.cache={cache}"]
    every = ["dataset.split=train", "dataset.per_class=null"]
    config = compose([f"dataset={given.dataset}", f"profile={given.profile}", *view, *every])
    return open_dataset(config)


def load(dataset: VideoDataset, refs: list[ClipRef], pool: DecodePool) -> float:
    """Seconds that loading takes.

    Raises:
        UserError: a clip cannot be loaded.
    """
    began = time.perf_counter()
    for start in range(0, len(refs), CHUNK):
        for clip in pool.load(dataset, refs[start : start + CHUNK]):
            if not isinstance(clip, Clip):
                raise UserError(f"cannot time a broken data set: {clip.message}")
    return time.perf_counter() - began
