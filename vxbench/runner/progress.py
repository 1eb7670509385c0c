"""Shows the progress of one cell: a bar on a terminal, a line now and then elsewhere (logs, parallel jobs)."""

import sys
import time

from vxbench.errors import printable


class Progress:
    """Counts clips, or what `unit` says; shows how many a second and the time left.

    live: whether a bar may be drawn, if a terminal listens. every_s: seconds between two lines where none does.
    """

    def __init__(self, name: str, total: int, live: bool, unit: str = "clips", every_s: float = 15.0):
        name = printable(name)
        self.name, self.total, self.unit, self.every_s, self.done = name, total, unit, every_s, 0
        self.started = self.spoken = time.monotonic()
        self.bar = _bar(name, total) if live and total and sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, count: int) -> None:
        self.done += count
        pace = self.done / max(self.seconds, 1e-9)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.done, pace=f"{pace:.2f} {self.unit}/s")
        elif self.done < self.total and time.monotonic() - self.spoken > self.every_s:
            self.spoken = time.monotonic()
            left = (self.total - self.done) / pace
            rate = f"{pace:.2f} {self.unit}/s, {left:.0f} s left"
            print(f"{self.name}: {self.done}/{self.total} {self.unit}, {rate}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def _bar(name: str, total: int):
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    bar = Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.add_task(escape(name), total=total, pace="")
    return bar
