"""The weights that training writes, and beside them the record of how they came about."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vxbench.errors import UserError
from vxbench.models.checkpoints import digest
from vxbench.models.classifier import Classifier

PACKAGES = ("torch", "mmengine", "mmaction2", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what training gives."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def check_writable(path: Path) -> None:
    """Makes the folder of a file that will be written there.

    Raises:
        UserError: it cannot be.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch()
        beside.unlink()
    except OSError as error:
        raise UserError(f"export = {path} cannot be written: {error.strerror}") from error
    if path.is_dir():
        raise UserError(f"export = {path} is a folder; give a file")


def export(classifier: Classifier, path: Path, record: dict[str, Any]) -> None:
    """Writes the recognizer's weights as safetensors, and beside them the record, with the weights' digest, as JSON.

    The record is written last: where there is one, the weights are whole.

    Raises:
        OSError: a file cannot be written.
    """
    from safetensors.torch import save_file

    weights = classifier.recognizer.state_dict()
    beside = path.with_name(f".{path.name}.new")
    save_file({name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}, beside)
    beside.chmod(0o644)  # safetensors makes it readable by its owner only
    beside.replace(path)
    record = {"weights": path.name, "digest": digest(path), **record}
    path.with_suffix(".json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
