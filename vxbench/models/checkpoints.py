"""Describes, finds, verifies and loads checkpoint files."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

from torch import nn

from vxbench.errors import UserError, did_you_mean
from vxbench.models.loading import Weights, check_weights, converted, read_weights, with_counters

RANDOM = "model.checkpoint=null gives random weights"
PACKAGED = "pkg:"  # prefix of the names of weights that ship with vxbench
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file and the facts known about it.

    file: a path, or `pkg:<file>` for one that ships with vxbench. num_classes: outputs of its head. width: pixels of
    the clips that it is for, where the model's other weights are for others. url: the http(s) address where it is
    published. sha256: all or the first 6 or more hex digits of its SHA-256. format: the project whose names its weights
    have, see `loading.converted`. class_order: the numbering of its outputs, where the data set knows several. source:
    where it comes from, in words.

    Raises:
        UserError: a field that is not of this kind.
    """

    file: str
    num_classes: int | None = None
    width: int | None = None
    url: str | None = None
    sha256: str | None = None
    format: str = "mmaction2"
    class_order: str | None = None
    source: str | None = None
    licence: str | None = None

    def __post_init__(self):
        if isinstance(self.sha256, int | float):  # YAML reads 12345678 and 123e4567 so
            raise UserError(f"checkpoint {self.file}: sha256 = {self.sha256} is read as a number; put it in quotes")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{6,64}", self.sha256):
            raise UserError(f"checkpoint {self.file}: sha256 = {self.sha256} is not 6 to 64 lower-case hex digits")
        if self.url is not None and not is_web(self.url):
            raise UserError(f"checkpoint {self.file}: url = {self.url} is not an http(s) address")

    @classmethod
    def of(cls, value: "str | Path | Mapping | Checkpoint") -> Self:
        """The checkpoint that a file's name or an entry of the configuration describes."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            return cls(str(value))
        known = [field.name for field in fields(cls)]
        for name in value:
            if name not in known:
                raise UserError(f"checkpoint {value.get('file', '')}: unknown key {name}{did_you_mean(name, known)}")
        if not value.get("file"):
            raise UserError(f"checkpoint {value.get('url', '')}: the key file is missing")
        return cls(**value)

    @property
    def path(self) -> Path:
        return locate(self.file)

    def check(self, file: Path | None = None, name: str | None = None) -> None:
        """Compares the digest of the file, or of its copy at `file`, with the published one. name: in the message.

        Raises:
            UserError: they differ.
        """
        if self.sha256 is None:
            return
        found = sha256(file or self.path)
        if not found.startswith(self.sha256):
            raise UserError(
                f"{name or f'checkpoint {self.path}'} is refused: its SHA-256 begins with {found[: len(self.sha256)]}, "
                f"the published one with {self.sha256}; it is damaged or another file"
                + (f", get it again from {self.url}" if self.url else "")
            )

    def absent(self, *ways: str) -> UserError:
        """The error for a file that is not there: one line, ending in what was tried or can be done about it."""
        source = f" ({self.source})" if self.source else ""
        return UserError("; ".join([f"checkpoint {self.path} does not exist{source}", *filter(None, ways)]))

    @property
    def by_hand(self) -> str:
        """Error text on how to put the file in its place by hand; "" where nobody knows."""
        if not (self.url or self.source):
            return ""
        name = "" if self.url and Path(urlsplit(self.url).path).name == self.path.name else f" as {self.path.name}"
        return f"put {self.url or 'it'} into {self.path.parent}{name}"


def locate(checkpoint: str | Path) -> Path:
    """Path of the file behind a checkpoint's name, there or not; `pkg:<file>` is one that ships with vxbench.

    Raises:
        UserError: no file can have this name, or it may not be looked at.
    """
    name = str(checkpoint)
    inside = name.removeprefix(PACKAGED)
    if is_web(name):
        raise UserError(f"checkpoint {name} is an address: give {{file: <a place for it>, url: {name}}}, download=true")
    if inside != name and inside != Path(inside).name:
        raise UserError(f"checkpoint {name}: {PACKAGED} takes the name of a file that ships with vxbench, no path")
    try:
        path = WEIGHTS / inside if inside != name else Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, RuntimeError, ValueError) as err:  # too long or forbidden; ~ of nobody; a NUL
        raise UserError(f"checkpoint {name!r} cannot be a file: {getattr(err, 'strerror', None) or err}") from err
    return path


def is_web(address: str) -> bool:
    """Whether this is an http(s) address."""
    try:
        parts = urlsplit(str(address))
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def digest(path: str | Path) -> str:
    """First 16 hex digits of a file's SHA-256."""
    return sha256(path)[:16]


def sha256(path: str | Path) -> str:
    """A file's SHA-256 in hex; a file that did not change is read once.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        state = Path(path).stat()
        return _sha256(Path(path), state.st_ino, state.st_size, state.st_mtime_ns)
    except OSError as err:
        raise UserError(f"checkpoint {path} cannot be read: {err.strerror or err}") from err


@lru_cache(maxsize=256)
def _sha256(path: Path, *state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(model: nn.Module, checkpoint: str | Path | Mapping | Checkpoint) -> Path:
    """Loads weights into model, strictly, and returns the file they came from.

    checkpoint: a file, or an entry of `weights` (see `Checkpoint`). Nothing is downloaded here.

    Raises:
        UserError: the file is missing, not the published one, not a checkpoint or unsafe, or does not fit the model key
            for key and shape for shape.
    """
    checkpoint = Checkpoint.of(checkpoint)
    _load(model, _weights(checkpoint, RANDOM), checkpoint)
    return checkpoint.path


def load_body(
    model: nn.Module, checkpoint: str | Path | Mapping | Checkpoint, head: Sequence[str] = ("cls_head",)
) -> Path:
    """Loads all but the modules named in `head`, which keep the weights they have: the start of fine-tuning.

    Raises:
        UserError: as load_checkpoint.
    """
    checkpoint = Checkpoint.of(checkpoint)
    prefixes = tuple(f"{name}." for name in head)
    body = {name: value for name, value in _weights(checkpoint).items() if not name.startswith(prefixes)}
    kept = {name: value for name, value in model.state_dict().items() if name.startswith(prefixes)}
    _load(model, body, checkpoint, kept=kept)
    return checkpoint.path


def _weights(checkpoint: Checkpoint, otherwise: str = "") -> Weights:
    """The checkpoint's tensors by name in the recognizer. otherwise: advice in the error for a missing file."""
    if not checkpoint.path.is_file():
        raise checkpoint.absent(checkpoint.by_hand, otherwise)
    checkpoint.check()
    return converted(read_weights(checkpoint.path), checkpoint.format)


def _load(model: nn.Module, weights: Weights, checkpoint: Checkpoint, kept: Weights = MappingProxyType({})) -> None:
    wanted = model.state_dict()
    weights = with_counters(wanted, weights) | kept
    check_weights(wanted, weights, checkpoint.path, checkpoint.format)
    model.load_state_dict(weights)
