import csv
import re

import av
import numpy as np
import pytest

from vxbench.datasets.decode import read_frames
from vxbench.datasets.mini import kinetics as kinetics_scene
from vxbench.datasets.mini.actors import STROKES, unpacked
from vxbench.datasets.mini.exact import stream
from vxbench.datasets.mini.generate import generate
from vxbench.datasets.mini.kinetics import CLASSES, FORMATS, RATES, SIZES, Job, Kinetics, scene
from vxbench.datasets.mini.plan import Plan
from vxbench.datasets.mini.writing import digest_of

pytestmark = pytest.mark.slow

NAMES = ("kinetics400", "kinetics700")

# Made once by this code, as in test_mini.
GOLDEN = {
    ("kinetics400", "drifting", "train", 7): "06cf242812348046fb4f0187ffeda5205cf9049d4238b2d19b38054b2a108f48",
    ("kinetics400", "pulsing", "val", 3): "796e4029af0732f9558784ec5743b404da79163e5afeebed218f6b69f5a5d90e",
    ("kinetics700", "spinning clockwise", "val", 0): "fbd38cb2e6ecb17b3771442bbf46e7e1bbd66fedbfb94c522cb17fdf92d352ed",
    ("kinetics700", "rising up", "train", 59): "4e5cac49351bf81593c4d507e1d7a47a88882f5ee0ee325893a1c72abbfb773a",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinetics") / "mini"
    generate(root, train_per_class=1, test_per_class=2, only=NAMES, processes=1)
    return root


@pytest.fixture
def plain(monkeypatch):
    """Backgrounds are black: they take most of the time of a scene."""
    black = np.full(kinetics_scene.actors.TEXTURE, kinetics_scene.BLACK)
    monkeypatch.setattr(kinetics_scene, "_background", lambda *_: black)


def rows(root, name, split):
    with (root / name / "annotations" / f"{split}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def path_of(root, name, split, row):
    start, end = int(row["time_start"]), int(row["time_end"])
    return root / name / split / row["label"] / f"{row['youtube_id']}_{start:06d}_{end:06d}.mp4"


@pytest.mark.parametrize("clip", GOLDEN)
def test_frames_are_the_same_bits_everywhere(clip):
    drawn = scene(0, *clip)
    assert digest_of(drawn.frame(t) for t in (0, len(drawn) // 2)) == GOLDEN[clip]


@pytest.mark.parametrize("name", NAMES)
def test_lists_name_each_clip_and_a_few_that_are_not_there(made, name):
    for split, official, clips in (("train", "train", 1), ("val", "validate", 2)):
        listed = rows(made, name, split)
        assert list(listed[0]) == ["label", "youtube_id", "time_start", "time_end", "split"]
        assert {row["split"] for row in listed} == {official}
        there = {path for row in listed if (path := path_of(made, name, split, row)).is_file()}
        assert there == set((made / name / split).rglob("*.mp4"))
        assert len(there) == clips * len(CLASSES[name])
        lost = {row["label"] for row in listed if path_of(made, name, split, row) not in there}
        assert lost == (set(list(CLASSES[name])[::2]) if split == "val" else set())
        assert len(listed) == len(there) + len(lost)


def test_rows_without_a_clip_come_last_by_id(made):
    listed = rows(made, "kinetics400", "val")
    for label in CLASSES["kinetics400"]:
        ranked = sorted((row for row in listed if row["label"] == label), key=lambda row: row["youtube_id"])
        assert all(path_of(made, "kinetics400", "val", row).is_file() for row in ranked[:2])


@pytest.mark.parametrize(
    ("name", "map_name"), [("kinetics400", "label_map_k400.txt"), ("kinetics700", "label_map_k700.txt")]
)
def test_the_label_map_is_the_alphabet_of_the_folders(made, name, map_name):
    labels = (made / name / map_name).read_text().splitlines()
    assert labels == sorted(path.name for path in (made / name / "val").iterdir())
    assert any(" " in label for label in labels)


def test_ids_are_of_youtubes_kind_differ_and_begin_with_a_dash_at_times():
    ids = [item.row()[1] for name in NAMES for item in Kinetics(name).jobs(Plan())]
    assert all(re.fullmatch(r"[-\w]{11}", id, re.ASCII) for id in ids)
    assert len(set(ids)) == len(ids)
    dashed = sum(id.startswith("-") for id in ids)
    assert len(ids) / 5 <= dashed < len(ids) / 3


def test_every_place_has_all_classes_alike():
    """Else the background would hint at the class."""
    items = [item for item in Kinetics("kinetics400").jobs(Plan()) if not item.absent]
    for split, count in kinetics_scene.PLACES.items():
        places = {(item.label, item.number % count) for item in items if item.split == split}
        assert len(places) == 6 * count


def test_a_place_has_one_background_whatever_the_class():
    one, other = list(CLASSES["kinetics400"])[:2]
    texture = scene(0, "kinetics400", one, "val", 0).texture
    assert (scene(0, "kinetics400", other, "val", kinetics_scene.PLACES["val"]).texture == texture).all()
    assert (scene(0, "kinetics400", one, "val", 1).texture != texture).any()
    assert (scene(0, "kinetics400", one, "train", 0).texture != texture).any()


def test_videos_are_h264_with_b_frames_and_near_what_was_drawn(made):
    item = Job(0, "kinetics700", "spinning clockwise", "val", 1)
    drawn = scene(0, item.data_set, item.label, item.split, item.number)
    with av.open(str(made / item.path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.frames, stream.average_rate) == ("h264", len(drawn), drawn.fps)
        assert any(frame.pict_type == av.video.frame.PictureType.B for frame in file.decode(stream))
    decoded, _ = read_frames(made / item.path, np.arange)
    source = np.stack([unpacked(frame) for frame in drawn.frames()])
    error = np.square(decoded.astype(float) - source).mean()
    assert 10 * np.log10(255**2 / error) > 26  # dB; 4:2:0 colour alone costs vivid edges about 35


def test_all_shapes_and_rates_occur_and_bars_are_black(monkeypatch):
    white = np.full(kinetics_scene.actors.TEXTURE, 2**32 - 1, dtype=np.uint32)
    monkeypatch.setattr(kinetics_scene, "_background", lambda *_: white)
    drawn = [scene(0, "kinetics400", "bobbing", "train", i) for i in range(60)]
    assert {(one.size, one.picture[2:]) for one in drawn} == set(FORMATS)
    assert {one.fps for one in drawn} == set(RATES)
    for one in drawn:
        left, top, width, height = one.picture
        frame = one.frame(len(one) // 2)
        assert frame.shape == one.size[::-1]
        assert all(side % 2 == 0 for side in frame.shape)
        bars = np.ones(frame.shape, dtype=bool)
        bars[top : top + height, left : left + width] = False
        assert (frame[bars] == kinetics_scene.BLACK).all()
        assert (frame[~bars] == white[0, 0]).any(axis=None)
        # as much bar on one side as on the other
        assert (2 * left + width, 2 * top + height) == one.size


@pytest.mark.parametrize("name", NAMES)
def test_the_actor_moves_as_its_class_says_within_the_central_square(plain, name):
    for label, motions in CLASSES[name].items():
        drawn = scene(0, name, label, "train", 3)
        _, _, width, height = drawn.picture
        side = min(width, height)
        boxes = np.array([drawn.actor.box(t) for t in range(len(drawn))])
        middles = boxes[:, :2] + boxes[:, 2:] // 2 - (width // 2, height // 2)
        assert (abs(middles) + boxes[:, 2:] / 2 <= side / 2).all()
        strokes = [[STROKES[way] for way in ways] for ways in motions]
        moved = {ways[0].coordinate for ways in strokes}
        moving = {"x": middles[:, 0], "y": middles[:, 1], "size": boxes[:, 2]}
        for coordinate, values in moving.items():
            assert (np.ptp(values) > 0) == (coordinate in moved)
        for ways in strokes:
            if len(ways) == 1 and ways[0].coordinate in moving:
                steps = ways[0].way * np.diff(moving[ways[0].coordinate])
                assert np.count_nonzero(steps > 0) > 2 * np.count_nonzero(steps < 0)


def test_either_way_is_met_where_a_class_leaves_it_open():
    ways = [kinetics_scene.strokes_of(stream(3, i), CLASSES["kinetics400"]["wandering about"]) for i in range(40)]
    assert {tuple(stroke.way for stroke in strokes) for strokes in ways} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


@pytest.mark.parametrize("angle", [0, 0.1, 0.125, 0.3, 0.45, 0.625, 0.9])
def test_the_tail_is_behind_the_head(angle):
    _, mask = kinetics_scene._sprite((np.array([200, 0, 0]), np.array([0, 200, 0])), 40, angle)
    for aside, covered in ((-0.1, False), (0, True), (0.1, False)):  # turns from straight behind, near the rim
        backwards = 2 * np.pi * (angle + 0.5 + aside)
        x, y = np.round(40 + 36 * np.array([np.cos(backwards), np.sin(backwards)])).astype(int)
        assert mask[y, x] == covered


def test_a_quarter_of_a_turn_is_clockwise_on_the_screen(plain):
    colours = np.array([200, 0, 0]), np.array([0, 200, 0])
    (picture, mask), (turned, turned_mask) = (kinetics_scene._sprite(colours, 20, angle) for angle in (0.0, 0.25))
    assert (np.rot90(mask, -1) == turned_mask).all()
    assert (np.rot90(picture, -1) == turned).all()
    assert not (picture == picture[:, ::-1]).all()


def test_spinning_shows_the_whole_turn(plain):
    drawn = scene(0, "kinetics700", "spinning clockwise", "train", 0)
    assert len({id(sprite) for sprite in drawn.actor.sprites}) == len(drawn)


def test_sizes_span_their_range(plain):
    halves = []
    for i in range(60):
        drawn = scene(0, "kinetics400", "pulsing", "train", i)
        side = min(drawn.picture[2:])
        halves += [(drawn.actor.box(t)[2] - 1) / 2 / side for t in range(len(drawn))]
    # half sizes are whole pixels of at least 180
    assert SIZES[0] - 1 / 180 <= min(halves) < SIZES[0] + 0.01
    assert SIZES[1] - 0.01 < max(halves) <= SIZES[1] + 1 / 180


def test_another_seed_is_another_clip(plain):
    one, other = (scene(seed, "kinetics400", "pulsing", "val", 0) for seed in (0, 1))
    assert digest_of([one.frame(5)]) != digest_of([other.frame(5)])
