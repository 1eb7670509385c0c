"""Progress of one cell: a bar on a terminal, a line now and then elsewhere (logs, parallel jobs)."""

import sys
import time


class Progress:
    """Counts clips; shows clips/s and the time left."""

    LINE_SECONDS = 15.0

    def __init__(self, name: str, total: int, live: bool):
        self.name, self.total, self.done = name, total, 0
        self.started = self.spoken = time.monotonic()
        self.bar = _bar(name, total) if live and total and sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, clips: int) -> None:
        self.done += clips
        pace = self.done / max(self.seconds, 1e-9)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.done, pace=f"{pace:.2f} clips/s")
        elif self.done < self.total and time.monotonic() - self.spoken > self.LINE_SECONDS:
            self.spoken = time.monotonic()
            left = (self.total - self.done) / pace
            print(
                f"{self.name}: {self.done}/{self.total} clips, {pace:.2f} clips/s, {left:.0f} s left",
                flush=True,
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def _bar(name: str, total: int):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    bar = Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.add_task(name, total=total, pace="")
    return bar
