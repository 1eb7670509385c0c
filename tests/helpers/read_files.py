"""Reads annotations or checkpoints one after the other, in a process of its own, and says what became of each.

python tests/helpers/read_files.py <folder>: a line a file: its name, seconds, and `read` or the line that refused it.
Files named 0.* are sound.
Ends with status 9 and a line on stderr at the first thing that reading may not do.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from vxbench.datasets.annotations import boxes_at, load_annotation, tubes_of
from vxbench.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(event: str, arguments: tuple) -> None:
    """Ends the process where something other than reading happens."""
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if writes or (event.startswith(FORBIDDEN) and event not in HARMLESS):
        print(f"reading did {event} {arguments}", file=sys.stderr, flush=True)
        os._exit(9)


def read(path: Path) -> None:
    """Reads a file to the end of what vxbench makes of it."""
    if path.suffix == ".pkl":
        for name, entry in load_annotation(path).items():
            boxes_at(tubes_of(entry, name), 0)
    else:
        from vxbench.models.loading import read_weights

        read_weights(path)


def read_in_time(folder: Path, seconds: float) -> dict[str, tuple[float, str]]:
    """{file: (seconds, what became of it)} of a folder; fails if reading dies, hangs or does anything else."""
    command = [sys.executable, __file__, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    assert done.returncode == 0, f"after {done.stdout.splitlines()[-1:]}: {done.stderr}"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == sorted(path.name for path in folder.iterdir())
    return {name: (float(took), said) for name, took, said in lines}


def outcome(path: Path) -> str:
    try:
        read(path)
    except UserError as error:
        return str(error)
    return "read"


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).iterdir())
    for path in (path for path in paths if path.name.startswith("0.")):
        read(path)  # imports what reading takes, before anybody watches
    sys.addaudithook(watch)
    for path in paths:
        since = time.perf_counter()
        said = outcome(path)
        print(path.name, f"{time.perf_counter() - since:.3f}", said, sep="\t", flush=True)
