import ast
import csv
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp

from vxbench.datasets.decode import read_frames
from vxbench.datasets.epic_tables import RATE, Clock, ObjectTable, read_actions, read_videos
from vxbench.datasets.mini import actors
from vxbench.datasets.mini.actors import unpacked
from vxbench.datasets.mini.epic import NOUNS, SHORTEST, VERBS, Epic, Job, digest_of, labelled, noun_sprite
from vxbench.datasets.mini.exact import stream
from vxbench.datasets.mini.generate import generate
from vxbench.datasets.mini.plan import Plan

pytestmark = pytest.mark.slow

JOBS = Epic().jobs(Plan(train_per_class=1, test_per_class=1))
ACTIONS = (("lemon", "push"), ("plate", "reach"), ("radish", "lower"), ("carrot", "pull"))

# Made once by this code, as in test_mini.
GOLDEN = "a35535eab23f9abdf31129c3500f4ab0785e4e24689c3ab55c9e280ad2f17524"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("epic") / "mini"
    generate(root, train_per_class=1, test_per_class=1, only=("epic55",), processes=1)
    return root / "epic55"


@pytest.fixture
def plain(monkeypatch):
    """Backgrounds are black: they take most of the time of a scene."""
    monkeypatch.setattr(actors, "background", lambda random: np.zeros(actors.TEXTURE, dtype=np.uint32))


def rows(folder, name):
    with (folder / "annotations" / f"EPIC_{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scene(video="P01_01", seed=0):
    return Job(seed, video, ACTIONS, uid=0).scene()


def test_frames_and_boxes_are_the_same_bits_everywhere():
    assert digest_of(scene()) == GOLDEN
    assert digest_of(scene(seed=1)) != GOLDEN


def test_boxes_are_tight_around_the_target_and_absent_where_it_is():
    drawn = scene()
    for segment, target in zip(drawn.segments, drawn.targets, strict=True):
        for t in range(segment.start - 3, segment.stop + 3):
            empty = replace(drawn, targets=[]).frame(t)
            y, x = np.nonzero(drawn.frame(t) != empty)
            seen = (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1) if len(x) else None
            assert target.box(t) == seen


def test_between_segments_there_are_distractors_only(plain):
    drawn = scene()
    empty = replace(drawn, hands=[], targets=[])
    inside = {t for segment in drawn.segments for t in range(segment.start, segment.stop)}
    for t in range(len(drawn)):
        assert (drawn.frame(t) == empty.frame(t)).all() == (t not in inside)


def test_segments_have_free_frames_of_one_and_a_half_their_length_behind_them():
    for video in ("P01_01", "P01_02", "P02_01"):
        drawn = scene(video)
        stops = [segment.start for segment in drawn.segments[1:]] + [len(drawn)]
        first = drawn.segments[0]
        assert first.start >= 1.5 * (first.stop - first.start)
        for segment, end in zip(drawn.segments, stops, strict=True):
            assert 55 <= segment.stop - segment.start <= 109
            assert end - segment.stop >= 1.5 * (segment.stop - segment.start)


def many(videos=40):
    """Segments with hand and target, every noun with every verb in turn."""
    pairs = [(noun, verb) for noun in NOUNS for verb in VERBS]
    for i in range(videos):
        drawn = Job(0, f"P09_{i:02d}", tuple(pairs[(7 * i + j) % 36] for j in range(12)), 0).scene()
        yield from zip(drawn.segments, drawn.hands, drawn.targets, strict=True)


def extent(mover, segment):
    """Least and greatest x and y that a mover covers in its segment, ((x, x), (y, y)), the greatest exclusive."""
    boxes = np.array([box for t in range(segment.start, segment.stop) if (box := mover.box(t))])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def test_hand_and_target_each_keep_to_a_half_of_the_picture(plain):
    for segment, hand, target in many(videos=8):
        (columns, rows), (other_columns, other_rows) = sorted([extent(hand, segment), extent(target, segment)])
        assert 0 <= columns[0] < columns[1] <= 128 <= other_columns[0] < other_columns[1] <= 256
        assert all(0 <= top < bottom <= 144 for top, bottom in (rows, other_rows))


def test_half_of_the_targets_come_late_or_leave_early(plain):
    kinds = Counter()
    for segment, hand, target in many():
        n = segment.stop - segment.start
        assert (hand.start, len(hand.sprites)) == (segment.start, n)
        late, early = target.start > segment.start, target.start + len(target.sprites) < segment.stop
        assert 0.6 * n <= len(target.sprites) <= n
        kinds[late, early] += 1
    # 480 draws: standard deviations of 11 and 9.5; 4 of them are allowed
    assert abs(kinds[False, False] - 240) < 44
    assert abs(kinds[True, False] - 120) < 38
    assert abs(kinds[False, True] - 120) < 38
    assert kinds[True, True] == 0
    assert 3 * SHORTEST // 5 > 31  # so that one of 30 frames, which may be labelled, is always among them


def test_no_frame_of_the_hand_tells_the_verb(plain):
    """Place and size of the hand in the first, the middle and the last frame are distributed alike for all verbs."""
    seen = {verb: {0: [], 1: [], 2: []} for verb in VERBS}
    for segment, hand, _ in many(videos=60):
        times = (segment.start, (segment.start + segment.stop) // 2, segment.stop - 1)
        for which, t in enumerate(times):
            x, y, w, h = hand.box(t)
            seen[segment.verb][which].append((x + w // 2, y + h // 2, w))
    for which in range(3):
        everything = {verb: np.array(frames[which]) for verb, frames in seen.items()}
        for verb, values in everything.items():
            others = np.concatenate([frames for other, frames in everything.items() if other != verb])
            p = [ks_2samp(values[:, i], others[:, i]).pvalue for i in range(3)]
            assert min(p) > 1e-5  # 54 comparisons: by chance once in 2000 seeds


def pixels(sprite):
    """Red, green and blue of a sprite's pixels, (3, pixels)."""
    picture, mask = sprite
    return unpacked(picture)[mask].astype(int).T


def test_a_distractor_is_bluer_than_red_everywhere_and_no_noun_is_anywhere():
    for i in range(30):
        red, _, blue = pixels(actors.distractor(stream(0, i)))
        assert (blue > red + 20).all()
        for noun in NOUNS:
            red, _, blue = pixels(noun_sprite(stream(0, i), noun, 15 + i % 6))
            assert (blue <= red + 5).all()


def test_nouns_differ_in_their_mean_colour():
    means = [pixels(noun_sprite(stream(0), noun, 18)).mean(axis=1) for noun in NOUNS]
    assert min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]) > 40  # of 255


def test_nouns_and_verbs_are_dealt_alike_and_independently():
    jobs = Epic().jobs(Plan())
    for participants, per_class in ((TRAIN, 80), (TEST, 10)):
        dealt = [action for job in jobs if job.participant in participants for action in job.actions]
        nouns, verbs = (Counter(names) for names in zip(*dealt, strict=True))
        assert set(nouns.values()) == set(verbs.values()) == {per_class}
        assert nouns.keys() == NOUNS.keys()
        assert verbs.keys() == VERBS.keys()
        pairs = Counter(dealt)
        assert len(pairs) == 36
        assert max(pairs.values()) - min(pairs.values()) <= 1
    assert {job.participant for job in jobs} == {*TRAIN, *TEST}
    uids = [job.uid + i for job in jobs for i in range(len(job.actions))]
    assert uids == list(range(540))


TRAIN = [f"P0{i}" for i in range(1, 9)]
TEST = ["P28", "P29", "P30"]


def test_the_csvs_have_the_published_columns(made):
    header = {name: ",".join(rows(made, name)[0]) for name in COLUMNS}
    assert header == COLUMNS
    assert [row["class_key"] for row in rows(made, "noun_classes")] == ["Nothing", *NOUNS]
    assert [row["class_key"] for row in rows(made, "verb_classes")] == list(VERBS)


COLUMNS = {
    "train_action_labels": "uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes",
    "train_object_labels": "noun_class,noun,participant_id,video_id,frame,bounding_boxes",
    "noun_classes": "noun_id,class_key,nouns",
    "verb_classes": "verb_id,class_key,verbs",
    "video_info": "video,resolution,duration,fps",
}


def seconds(timestamp):
    hours, minutes, rest = timestamp.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def test_action_rows_agree_with_the_classes_and_with_themselves(made):
    names = {
        kind: {row[f"{kind}_id"]: ast.literal_eval(row[f"{kind}s"]) for row in rows(made, f"{kind}_classes")}
        for kind in ("noun", "verb")
    }
    for row in rows(made, "train_action_labels"):
        assert row["narration"] == f"{row['verb']} {row['noun']}"
        assert row["video_id"].startswith(row["participant_id"])
        assert all(row[kind] in names[kind][row[f"{kind}_class"]] for kind in names)
        assert ast.literal_eval(row["all_nouns"]) == [row["noun"]]
        assert ast.literal_eval(row["all_noun_classes"]) == [int(row["noun_class"])]
        for end in ("start", "stop"):  # the published frames count 60 a second; 1e-6 for decimal fractions in binary
            assert math.floor(60 * seconds(row[f"{end}_timestamp"]) + 1e-6) == int(row[f"{end}_frame"])


def test_object_rows_are_the_boxes_of_the_drawing_at_the_published_frame_numbers(made):
    scenes = {job.video: job.scene() for job in JOBS}
    tracks = Counter()
    for row in rows(made, "train_object_labels"):
        number, drawn = int(row["frame"]), scenes[row["video_id"]]
        assert number % 30 == 1
        # of a video its own frames are numbered; pictures are 60 a second, their numbers 1.001 times as many
        ratio = Fraction(1001, 1000) if row["participant_id"] == "P30" else 1
        t = math.floor((number - 1) * ratio + Fraction(1, 2))
        (segment,) = (s for s in drawn.segments if s.start <= t < s.stop)
        assert segment.noun == row["noun"]
        box = drawn.targets[segment.number].box(t)
        expected = [(box[1], box[0], box[3], box[2])] if box else []
        assert ast.literal_eval(row["bounding_boxes"]) == expected
        tracks[row["video_id"], segment.number] += len(expected)
    assert len(tracks) == 18
    assert min(tracks.values()) >= 1


def test_labelled_pictures_drift_from_the_video_by_one_in_a_thousand():
    numbers = list(labelled(60000, Fraction(1)))
    assert numbers[:3] == [(1, 0), (31, 30), (61, 60)]
    assert numbers[-1][1] < 60000
    assert all(t == math.floor((number - 1) * Fraction(1001, 1000) + Fraction(1, 2)) for number, t in numbers)
    assert (50011, 50060) in numbers
    assert all(t == number - 1 for number, t in labelled(60000, Fraction(1001, 1000)))


def test_the_loaders_read_exactly_the_drawn_frames_and_their_boxes(made):
    info = read_videos(made / "annotations/EPIC_video_info.csv")
    read = {s.uid: s for s in read_actions(made / "annotations/EPIC_train_action_labels.csv", "noun")}
    table = ObjectTable(made / "annotations/EPIC_train_object_labels.csv", info)
    for job in JOBS:
        clock, drawn = Clock(1 if job.participant == "P30" else RATE / info[job.video].fps), job.scene()
        assert info[job.video].frames == math.floor(len(drawn) * job.pace)
        for segment, target in zip(drawn.segments, drawn.targets, strict=True):
            found = read[job.uid + segment.number]
            assert clock.span(found.start, found.stop) == (segment.start, segment.stop)
            boxes = {round(t / clock.pace): boxes for t, boxes in table.boxes(found).items()}
            assert boxes.keys() == {
                t for _, t in labelled(segment.stop, job.pace) if t >= segment.start and target.box(t)
            }
            for t, (box,) in boxes.items():
                x, y, w, h = target.box(t)
                assert box == (y, x, h, w)


def test_videos_are_h264_with_b_frames_and_near_what_was_drawn(made):
    jobs = {job.video: job for job in JOBS}
    info = {row["video"]: row for row in rows(made, "video_info")}
    assert set(info) == set(jobs)
    paths = sorted((made / "videos/train").rglob("*.MP4"))
    assert [path.relative_to(made / "videos/train").as_posix() for path in paths] == [
        f"{video[:3]}/{video}.MP4" for video in sorted(jobs) if not video.startswith("P30")
    ]
    drawn = jobs[paths[0].stem].scene()
    with av.open(str(paths[0])) as file:
        video = file.streams.video[0]
        assert (video.codec_context.name, video.frames) == ("h264", len(drawn))
        assert float(video.average_rate) == pytest.approx(60000 / 1001)
        kinds = [frame.pict_type for frame, _ in zip(file.decode(video), range(30), strict=False)]
        assert av.video.frame.PictureType.B in kinds
    row = info[paths[0].stem]
    assert float(row["duration"]) == pytest.approx(len(drawn) * 1001 / 60000, abs=1e-6)
    times = np.arange(0, len(drawn), 50)
    decoded, _ = read_frames(paths[0], lambda n: times)
    assert row["resolution"] == f"{decoded.shape[2]}x{decoded.shape[1]}"
    source = np.stack([unpacked(drawn.frame(t)) for t in times])
    error = np.square(decoded.astype(float) - source).mean()
    assert 10 * np.log10(255**2 / error) > 26  # dB; 4:2:0 colour alone costs vivid edges about 35


def test_one_participant_has_taller_videos(plain):
    jobs = [job for job in Epic().jobs(Plan()) if job.participant == "P03"]
    assert jobs
    assert all(job.scene().frame(0).shape == (192, 256) for job in jobs[:1])


def test_one_participant_has_all_frames_as_pictures_from_1_on(made):
    folder = made / "frames_rgb_flow/rgb/train/P30/P30_01"
    (job,) = (job for job in JOBS if job.video == "P30_01")
    drawn = job.scene()
    assert sorted(path.name for path in folder.iterdir()) == [f"frame_{t:010d}.jpg" for t in range(1, len(drawn) + 1)]
    segment = drawn.segments[0]
    t = (segment.start + segment.stop) // 2
    picture = cv2.imread(str(folder / f"frame_{t + 1:010d}.jpg"))[..., ::-1].astype(float)
    assert picture.shape == (108, 192, 3)
    source = cv2.resize(unpacked(drawn.frame(t)), (192, 108), interpolation=cv2.INTER_AREA)
    assert np.square(picture - source).mean() < 15**2  # JPEG and another way to shrink; a wrong frame has above 25^2
