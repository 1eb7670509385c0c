import matplotlib.image
import numpy as np
import pytest

from vxbench.errors import UserError
from vxbench.figures.drawing import maps
from vxbench.figures.drawing.maps import FigureClip, frame_indices, maps_figure, overlay
from vxbench.figures.drawing.style import DPI

ROWS = [("fep", "F-EP (ours)"), ("random", "random map")]
GREEN = np.array([0x3D, 0xDC, 0x84])


@pytest.fixture
def clip():
    """Black frames of 40 x 40; the map is a square in the right half, the box one in the left half."""
    frames = np.zeros((8, 40, 40, 3), np.uint8)
    saliency = np.zeros((8, 40, 40))
    saliency[:, 10:30, 25:35] = 1
    boxes = np.zeros((8, 40, 40), bool)
    boxes[:, 10:30, 5:15] = True
    return FigureClip("Class/v_$x$_y", "Class $a", frames, boxes, {"fep": saliency}, {"fep": "p = 0.85"})


def pixels(path):
    return (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)


def near(image, colour):
    return (np.abs(image - colour).max(axis=2) <= 12).sum()  # 12 of 255: blending at the edge of a line


def test_the_picture_is_legible_in_size(tmp_path, clip):
    path = maps_figure(tmp_path / "deep" / "one.png", [clip], ROWS)
    height, width, _ = pixels(path).shape
    assert width >= 6 * DPI  # six frames of more than an inch and the names
    assert height >= 3 * DPI  # frames and two methods
    assert [p.name for p in path.parent.iterdir()] == ["one.png"]


def test_the_box_is_outlined_on_the_frames(tmp_path, clip):
    with_box = pixels(maps_figure(tmp_path / "a.png", [clip], ROWS))
    clip.boxes = None
    without = pixels(maps_figure(tmp_path / "b.png", [clip], ROWS))
    assert near(with_box, GREEN) > 6 * 2 * 20  # six frames, two upright sides of half a tile at least
    assert near(without, GREEN) == 0


def test_the_map_colours_only_its_own_row(tmp_path, clip):
    clip.boxes = None
    lit = pixels(maps_figure(tmp_path / "a.png", [clip], ROWS))
    clip.maps = {"fep": np.zeros((8, 40, 40))}
    dark = pixels(maps_figure(tmp_path / "b.png", [clip], ROWS))
    changed = np.abs(lit - dark).max(axis=2) > 0
    rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
    tile = 1.35 * DPI
    assert tile * 0.4 < rows[-1] - rows[0] < tile * 0.6  # the square is half a tile high, in one row of tiles
    # A quarter of each of the six tiles is lit, 1/2 x 1/4 of its area; 10 % for the rounding of a tile to pixels.
    assert changed.sum() == pytest.approx(6 * tile**2 / 8, rel=0.1)
    assert columns[0] > 1.5 * DPI  # right of the names


def test_overlay_runs_from_the_grey_frame_to_the_top_of_the_scale():
    frame = np.full((1, 2, 3), 200, np.uint8)
    low, high = overlay(frame, np.array([[0.0, 1.0]]))[0]
    assert low.max() < 200 / 255  # darkened, yet still the frame: its brightness comes through
    assert low.min() > 0.5 * 200 / 255
    assert high[0] - high[2] > 0.2  # yellow: more red than blue
    ramp = overlay(np.full((1, 256, 3), 128, np.uint8), np.linspace(0, 1, 256)[None])[0]
    assert (np.diff(ramp @ [0.2126, 0.7152, 0.0722]) > -1e-3).all()  # never darker; 1e-3 is a quarter of a grey level


def test_a_missing_map_leaves_its_row_empty(tmp_path, clip):
    image = pixels(maps_figure(tmp_path / "a.png", [clip], ROWS))
    assert near(image, np.full(3, 242)) > 6 * (1.2 * DPI) ** 2  # the light tiles of "random map"


def test_frames_are_evenly_spaced():
    assert frame_indices(16, 6) == [0, 3, 6, 9, 12, 15]
    assert frame_indices(4, 6) == [0, 1, 2, 3]
    assert frame_indices(1, 6) == [0]


def test_several_clips_stand_below_each_other(tmp_path, clip):
    other = FigureClip("Class/w", "Class", clip.frames[:, :20], None, {})
    one, two, both = (
        maps_figure(tmp_path / "a.png", clips, ROWS) and pixels(tmp_path / "a.png").shape[0]
        for clips in ([clip], [other], [clip, other])
    )
    assert both > one + two - DPI  # with one margin less


def test_the_same_clip_gives_the_same_bytes(tmp_path, clip):
    first, second = (maps_figure(tmp_path / name, [clip], ROWS).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


@pytest.mark.slow
def test_a_figure_of_the_same_is_left_alone_and_any_other_drawn_again(tmp_path, clip, monkeypatch):
    path = maps_figure(tmp_path / "a.png", [clip], ROWS)
    drawn = path.read_bytes()
    monkeypatch.setattr(maps, "tiles_figure", None)  # drawing would fail
    assert maps_figure(path, [clip], ROWS).read_bytes() == drawn
    monkeypatch.undo()

    for damaged in (drawn[:-1000], drawn[:-1000] + bytes(1000), b""):
        path.write_bytes(damaged)
        assert maps_figure(path, [clip], ROWS).read_bytes() == drawn
    for change in ("maps", "boxes", "frames"):
        before = pixels(path)
        array = clip.maps["fep"] if change == "maps" else getattr(clip, change)
        array[0, :5] = 255 if change == "frames" else 1
        assert (pixels(maps_figure(path, [clip], ROWS)) != before).any()
    before = path.read_bytes()
    for version in ("matplotlib.__version__", "vxbench.figures.drawing.maps.DRAWING_VERSION"):
        monkeypatch.setattr(version, "0")
        assert maps_figure(path, [clip], ROWS).read_bytes() != before  # drawn by another version
        monkeypatch.undo()
    clip.notes = {"fep": "p = 0.86"}
    noted = pixels(path)
    assert (pixels(maps_figure(path, [clip], ROWS)) != noted).any()
    assert pixels(maps_figure(path, [clip], ROWS[:1])).shape[0] < noted.shape[0]


def test_what_cannot_be_drawn_is_said_in_one_line(tmp_path, clip):
    with pytest.raises(UserError, match="no clip to draw"):
        maps_figure(tmp_path / "a.png", [], ROWS)
    for wrong, message in [
        (np.zeros((8, 20, 20)), r"fep is \(8, 20, 20\), its frames are \(8, 40, 40\)"),
        (np.full((8, 40, 40), 2.0), r"the map of fep leaves \[0, 1\]"),
        (np.full((8, 40, 40), np.nan), "holds NaN"),
    ]:
        clip.maps = {"fep": wrong}
        with pytest.raises(UserError, match=message):
            maps_figure(tmp_path / "a.png", [clip], ROWS)
    assert not list(tmp_path.iterdir())
