"""Writes figures as PNG and PDF, whole or not at all, with facts on what they were made of."""

from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from vxbench.files import write_whole

UNDATED = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
FACTS = "vxbench "  # stands before the names of a figure's facts in its PNG
PNG_END = b"IEND\xaeB`\x82"  # the last chunk of every PNG
PDF_DPI = 200  # resolution of the pictures in a PDF; its lines and text are vectors

Facts = dict[str, str] | None


def save(figure: Figure, stem: str | Path, facts: Facts = None) -> list[Path]:
    """Writes <stem>.png and <stem>.pdf, and returns them. The same figure and facts give the same bytes.

    facts: ASCII texts by name, which `facts_of` reads back from the PNG. Both files are drawn before the first is
    written: what cannot be drawn leaves older files as they were. A stem may hold dots. Folders are made.
    """
    stem = Path(stem)
    return save_as(figure, [stem.with_name(f"{stem.name}.{kind}") for kind in UNDATED], facts)


def save_as(figure: Figure, paths: list[Path], facts: Facts = None) -> list[Path]:
    """Writes the figure into files whose kinds, png or pdf, are the ends of their names."""
    drawn = [_drawn(figure, path.suffix.lstrip("."), facts or {}) for path in paths]
    for path, content in zip(paths, drawn, strict=True):
        write_whole(path, content)
    return paths


def facts_of(png: bytes) -> dict[str, str]:
    """The facts that `save` wrote into a PNG.

    Raises:
        OSError: it is no picture, or not a whole one.
    """
    try:
        picture = Image.open(BytesIO(png))
        picture.load()
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what else Pillow raises on damaged files
        raise OSError(str(error)) from error
    if not png.endswith(PNG_END):
        raise OSError("its end is missing")
    with picture:
        written = {name: text for name, text in picture.info.items() if isinstance(text, str)}
    return {name.removeprefix(FACTS): text for name, text in written.items() if name.startswith(FACTS)}


def _drawn(figure: Figure, kind: str, facts: dict[str, str]) -> bytes:
    content = BytesIO()
    metadata = UNDATED[kind] | ({FACTS + name: text for name, text in facts.items()} if kind == "png" else {})
    with rc_context({"pdf.fonttype": 42}):  # text that can be searched and edited
        figure.savefig(content, format=kind, dpi=PDF_DPI if kind == "pdf" else figure.dpi, metadata=metadata)
    return content.getvalue()
