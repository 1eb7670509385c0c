"""Fetches a checkpoint file that is not there, from a mirror or from where it is published.

Nothing is asked over the network unless downloading is asked for. A file appears under its name whole and checked, or
not at all; of several processes that want it one fetches it and the others wait.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vxbench.errors import UserError
from vxbench.files import lock_file, locked, write_whole
from vxbench.models.checkpoints import Checkpoint, is_web

TIMEOUT_S = 30.0  # without a byte, after which a server is given up
WAIT_S = 3600.0  # for another process that fetches the same file
BLOCK = 1 << 20  # bytes read at once
ABSENT = (403, 404, 410)  # answers for a file that a server does not have; S3 gives 403


def obtain(
    checkpoint: str | Path | Mapping | Checkpoint,
    mirror: str | Path | None = None,
    download: bool = False,
    hint: str = "",
) -> Path:
    """Path of the checkpoint's file, checked; one that is absent is first fetched to the path its entry says.

    A file given without an entry is not looked for elsewhere.

    mirror: a folder or an http(s) root under which files lie by their name, or by the path of their url.
    download: whether the network may be used: the mirror, if it is http(s), then the url.

    Raises:
        UserError: the file is absent and cannot be had (`hint` is appended), or is not the published one.
    """
    entry = Checkpoint.of(checkpoint)
    if not entry.path.is_file():
        sources = [] if isinstance(checkpoint, str | Path) else _sources(entry, mirror, download)
        if not sources:
            raise entry.absent(_switch(entry, mirror, download), entry.by_hand, hint)
        _fetch(entry, sources, hint)
    entry.check()
    return entry.path


class _Failed(Exception):
    """Raised when a source does not give the file; the message says which and why."""


class _NotThere(_Failed):
    """Raised when the server answers, but has no such file."""


def _sources(checkpoint: Checkpoint, mirror: str | Path | None, download: bool) -> list[str | Path]:
    """Files of a mirror folder, and addresses, at which to try in turn."""
    published = [checkpoint.url] if checkpoint.url and download else []
    if mirror is None:
        return published
    names = _mirror_names(checkpoint)
    if is_web(str(mirror)):
        return [f"{str(mirror).rstrip('/')}/{quote(name)}" for name in names if download] + published
    folder = Path(os.path.expanduser(mirror))  # unlike Path's, it leaves `~nobody` as it is
    if not os.path.isdir(folder):
        raise UserError(f"paths.mirror = {mirror} is neither a folder nor an http(s) address")
    return [folder / name for name in names if os.path.isfile(folder / name)] or published


def _mirror_names(checkpoint: Checkpoint) -> list[str]:
    """Names below a mirror that the file may have; none leads out of it."""
    names = [checkpoint.path.name]
    if checkpoint.url:
        path = unquote(urlsplit(checkpoint.url).path).lstrip("/")
        names += [Path(path).name, path]
    return [name for name in dict.fromkeys(names) if name and ".." not in Path(name).parts]


def _switch(checkpoint: Checkpoint, mirror: str | Path | None, download: bool) -> str:
    """Error text on how to allow fetching the file; "" if it is allowed or would not help."""
    fetchable = checkpoint.url or is_web(str(mirror))
    return "download=true fetches it" if fetchable and not download else ""


def _fetch(checkpoint: Checkpoint, sources: list[str | Path], hint: str) -> None:
    """Puts the file in its place, from the first source that has it."""
    path = checkpoint.path

    def fill(part: Path) -> None:
        source = _first(sources, part)
        checkpoint.check(part, f"checkpoint {path} from {source}")

    try:
        with locked(path, WAIT_S, lambda: _say_waiting(path)):
            if not path.is_file():  # else another process has fetched it meanwhile
                write_whole(path, fill)
    except _Failed as error:
        raise checkpoint.absent(str(error), checkpoint.by_hand, hint) from error
    except TimeoutError as error:
        waited = f"for {WAIT_S / 60:g} minutes"
        raise UserError(f"checkpoint {path}: another process has held {lock_file(path)} {waited}; end it") from error
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be written: {error.strerror or error}") from error


def _say_waiting(path: Path) -> None:
    print(f"waiting for another process to fetch {path}", file=sys.stderr, flush=True)


def _first(sources: list[str | Path], part: Path) -> str | Path:
    """Copies the file to `part` from the first source that has it, and returns that; other failures end the search."""
    absent = []
    for source in sources:
        try:
            shutil.copyfile(source, part) if isinstance(source, Path) else _download(source, part)
            return source
        except _NotThere as error:
            absent.append(str(error))
    raise _Failed(", ".join(absent))


def _download(url: str, part: Path) -> None:
    import requests

    whole = {"Accept-Encoding": "identity"}  # so that Content-Length is the file's size
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=whole) as answer:
            if answer.status_code != requests.codes.ok:
                kind = _NotThere if answer.status_code in ABSENT else _Failed
                raise kind(f"{url} answers {answer.status_code} {answer.reason}")
            _save(answer, url, part)
    except (requests.RequestException, ValueError) as error:  # the latter from names that no host can have
        raise _Failed(f"{url} {_reason(error)}") from error


def _save(answer, url: str, part: Path) -> None:
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise _Failed(f"{url} answers with a web page, not with a file")
    length = answer.headers.get("Content-Length", "")
    encoded = "Content-Encoding" in answer.headers  # the length is then not the file's
    size = int(length) if length.isdecimal() and not encoded else None
    with open(part, "wb") as file, _bar(url, size) as advance:
        for block in answer.iter_content(BLOCK):
            advance(file.write(block))
    if size not in (None, part.stat().st_size):
        raise _Failed(f"{url} broke off after {part.stat().st_size} of {size} bytes")


@contextmanager
def _bar(url: str, size: int | None):
    """Shows a progress bar on a terminal, one line elsewhere; yields the function that counts bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"fetching {url} ({f'{size / 1e6:.0f} MB' if size else 'size unknown'})", file=sys.stderr, flush=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(Path(urlsplit(url).path).name, total=size)
        yield lambda count: bar.advance(task, count)


def _reason(error: Exception) -> str:
    """A few words for what requests says in several nested exceptions."""
    import requests

    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"gives no answer for {TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "has a certificate that is not trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return f"cannot be fetched: {str(error).splitlines()[0]}"
