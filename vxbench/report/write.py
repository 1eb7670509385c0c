"""A Table written to files, each whole or not at all."""

import os
import tempfile
from pathlib import Path

from vxbench.report.render import latex, markdown, pairs, tidy
from vxbench.report.table import Table

FORMATS = {".md": markdown.render, ".csv": tidy.render, "_pairs.csv": pairs.render, ".tex": latex.render}


def write_table(table: Table, folder: str | Path, name: str = "") -> list[Path]:
    """Write <name>.md, .csv, _pairs.csv and .tex into the folder, made if need be; the paths written.

    name: the table's key where it is not given.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending, render in FORMATS.items():
        paths.append(folder / f"{name or table.key}{ending}")
        replace_file(paths[-1], render(table).encode())
    return paths


def replace_file(path: Path, content: bytes) -> None:
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
