"""Files of a figure appear whole, both or neither, and the same figure gives the same bytes."""

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from vxbench.figures.drawing.save import facts_of, save
from vxbench.figures.drawing.style import DPI


def drawing(words="curve"):
    figure = Figure(figsize=(2, 1), dpi=DPI)
    figure.text(0.5, 0.5, words)
    return figure


def test_png_and_pdf_beside_each_other_and_nothing_else(tmp_path):
    paths = save(drawing(), tmp_path / "deep" / "fep_2.released")
    assert [path.name for path in paths] == ["fep_2.released.png", "fep_2.released.pdf"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == sorted(path.name for path in paths)
    assert matplotlib.image.imread(paths[0]).shape[:2] == (DPI, 2 * DPI)
    content = paths[1].read_bytes().strip()
    assert (content[:4], content[-5:]) == (b"%PDF", b"%%EOF")


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = (save(drawing(), tmp_path / name) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"Date" not in first[1].read_bytes()  # which has no finer clock than a second
    assert save(drawing("other"), tmp_path / "b")[1].read_bytes() != first[1].read_bytes()


def test_text_in_the_pdf_stays_text(tmp_path):
    """Type 42 fonts, as publishers ask for, not Type 3."""
    content = save(drawing(), tmp_path / "a")[1].read_bytes()
    assert b"/TrueType" in content or b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_facts_come_back_from_the_png_and_change_no_pixel(tmp_path):
    facts = {"profile": "mini", "made": "2026-01-01T00:00:00+00:00"}
    png, _ = save(drawing(), tmp_path / "a", facts)
    plain, _ = save(drawing(), tmp_path / "b")
    assert facts_of(png.read_bytes()) == facts
    assert facts_of(plain.read_bytes()) == {}
    assert (matplotlib.image.imread(png) == matplotlib.image.imread(plain)).all()
    with pytest.raises(OSError, match="cannot identify"):
        facts_of(b"no picture")


@pytest.mark.parametrize("broken", ["png", "pdf"])
def test_what_cannot_be_drawn_leaves_both_older_files(tmp_path, broken):
    old = [path.read_bytes() for path in save(drawing(), tmp_path / "a")]
    figure = drawing("other")
    draw = figure.savefig

    def savefig(target, *, format, **settings):
        draw(target, format=format, **settings)
        if format == broken:
            raise OSError("no room")

    figure.savefig = savefig
    with pytest.raises(OSError, match="no room"):
        save(figure, tmp_path / "a")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir(), reverse=True)] == old
