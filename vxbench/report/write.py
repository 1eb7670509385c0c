"""A Table written to files, each whole or not at all."""

import os
import tempfile
from pathlib import Path

from vxbench.report.render import latex, markdown, tidy
from vxbench.report.table import Table

FORMATS = {"md": markdown.render, "csv": tidy.render, "tex": latex.render}


def write_table(table: Table, folder: str | Path) -> list[Path]:
    """Write <key>.md, .csv and .tex into the folder, made if need be; the paths written."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, render in FORMATS.items():
        paths.append(folder / f"{table.key}.{suffix}")
        _replace(paths[-1], render(table).encode())
    return paths


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one: a temporary file in the same folder takes its name."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
