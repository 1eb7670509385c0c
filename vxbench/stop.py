"""Ends a command in order on every signal that asks it to end: what is open is closed, and nothing is lost."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNHANDLED = (signal.SIG_DFL, signal.default_int_handler)
AT_ONCE_S = 1.0  # within which a second Ctrl-C is the same one, sent to the process and to its group
PATIENCE_S = 3.0  # for the workers of a launcher, to end in order too
_asked: tuple[int, float] | None = None  # the signal that asked this process to end, and when


class Stopped(KeyboardInterrupt):
    """Raised where a signal asks the process to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which a shell tells the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number

    def __str__(self) -> str:
        return "stopped" if self.number == signal.SIGINT else f"stopped by {signal.Signals(self.number).name}"


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises Stopped in its block where a signal asks the process to end; a signal that somebody handles is left alone.

    Outside the main thread, where no signal arrives, it does nothing.
    """
    global _asked
    main = threading.current_thread() is threading.main_thread()
    mine = [number for number in SIGNALS if main and signal.getsignal(number) in UNHANDLED]
    before = {number: signal.signal(number, _stop) for number in mine}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
            _asked = None


def is_asked() -> bool:
    """Whether a signal has asked this process to end."""
    return _asked is not None


def check_stopped() -> None:
    """Raises Stopped once more if a signal asked for it and a library kept the first to itself."""
    if _asked:
        raise Stopped(_asked[0])


def end_worker(error: BaseException) -> None:
    """Ends this process if it is a worker, which would else go on with the next job; what it had open is closed."""
    if multiprocessing.parent_process() is not None:
        os._exit(error.status if isinstance(error, Stopped) else 128 + signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raises Stopped once. A second Ctrl-C ends the process at once; what it leaves goes at the next run."""
    global _asked
    if _asked is None:
        _asked = number, time.monotonic()
        _stop_workers()
        raise Stopped(number)
    if number == signal.SIGINT and time.monotonic() - _asked[1] > AT_ONCE_S:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _stop_workers() -> None:
    """Passes the signal on to processes begun here, which a launcher would kill without their writing anything."""
    children, deadline = multiprocessing.active_children(), time.monotonic() + PATIENCE_S
    for child in children:
        child.terminate()
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
