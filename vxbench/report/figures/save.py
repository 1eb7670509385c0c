"""Files of a figure: a reader sees the old one or the new one, never half of it."""

from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from vxbench.report.write import replace_file

UNDATED = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
PDF_DPI = 200  # of the pictures in it; lines and text are vectors


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes <stem>.png and <stem>.pdf, and returns them. The same figure gives the same bytes.

    Both are drawn before the first is written: what cannot be drawn leaves older files as they were. A stem may hold
    dots. Folders are made.
    """
    stem = Path(stem)
    return save_as(figure, [stem.with_name(f"{stem.name}.{kind}") for kind in UNDATED])


def save_as(figure: Figure, paths: list[Path]) -> list[Path]:
    """Writes the figure into files whose kinds, png or pdf, are the ends of their names."""
    drawn = [_drawn(figure, path.suffix.lstrip(".")) for path in paths]
    for path, content in zip(paths, drawn, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    return paths


def _drawn(figure: Figure, kind: str) -> bytes:
    content = BytesIO()
    with rc_context({"pdf.fonttype": 42}):  # text that can be searched and edited
        figure.savefig(content, format=kind, dpi=PDF_DPI if kind == "pdf" else figure.dpi, metadata=UNDATED[kind])
    return content.getvalue()
