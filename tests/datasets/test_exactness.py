"""Every frame of generated videos is the one asked for: in order, at random, in spans; through decord and PyAV."""

from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

import av
import numpy as np
import pytest
from helpers.videos import encode, nearest, noise

from vxbench.datasets.decode import read_frames
from vxbench.errors import ClipError

pytestmark = pytest.mark.slow

COUNT = 100
SOURCE = noise(COUNT)
X264 = "scenecut=0:b-adapt=0:keyint=12:subme=1:me=dia:ref=1"


@dataclass(frozen=True)
class Coding:
    """exact: whether it is lossless, so that frames come back bit for bit; else each must resemble its own most."""

    codec: str
    pixels: str
    containers: str
    exact: bool
    options: dict = field(default_factory=dict)


MPEG = {"qmin": "2", "qmax": "3", "g": "12", "bf": "2", "sc_threshold": "1000000000", "b_strategy": "0"}
CODINGS = {
    "lossless h264": Coding("libx264rgb", "bgr24", "mp4 mov mkv avi", True, {"qp": "0", "x264-params": X264}),
    "ffv1": Coding("ffv1", "bgr0", "mp4 mkv avi", True, {"g": "12"}),
    "lossless vp9": Coding("libvpx-vp9", "gbrp", "mp4 webm", True, {"lossless": "1", "g": "12", "cpu-used": "8"}),
    # x264 has no B-frames at qp 0.
    "h264 b": Coding("libx264", "yuv444p", "mp4 mkv avi", False, {"qp": "1", "x264-params": f"{X264}:bframes=3"}),
    "h264 open": Coding(
        "libx264", "yuv444p", "mp4 mkv avi", False, {"qp": "1", "x264-params": f"{X264}:bframes=3:open-gop=1"}
    ),
    "hevc": Coding("libx265", "yuv444p", "mp4 mkv", False, {"x265-params": "qp=4:keyint=12:log-level=none"}),
    "mpeg4": Coding("mpeg4", "yuv420p", "mp4 avi", False, {**MPEG, "bf": "0"}),
    "mpeg4 b": Coding("mpeg4", "yuv420p", "mp4 mkv avi", False, MPEG),
    "mpeg2 b": Coding("mpeg2video", "yuv420p", "mp4 mkv avi", False, MPEG),
}
SEEKABLE = {("lossless h264", "mp4"), ("ffv1", "avi"), ("lossless vp9", "mp4"), ("h264 b", "mp4"), ("mpeg4", "avi")}
CASES = [(name, container) for name, coding in CODINGS.items() for container in coding.containers.split()]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """video(name, container): the file of SOURCE in this coding, made once."""
    made = {}

    def make(name, container):
        coding = CODINGS[name]
        if coding.codec not in av.codec.codecs_available:
            pytest.skip(f"no encoder {coding.codec}")
        if (name, container) not in made:
            path = tmp_path_factory.mktemp("exact") / f"video.{container}"
            made[name, container] = encode(path, SOURCE, coding.codec, coding.pixels, **coding.options)
        return made[name, container]

    return make


def check(frames, indices, exact):
    if exact:
        assert (frames == SOURCE[indices]).all()
    else:
        assert nearest(frames, SOURCE) == indices.tolist()


@pytest.mark.parametrize(("name", "container"), CASES)
def test_in_order_and_at_random(video, name, container):
    random = np.random.default_rng(1)
    for wanted in (np.arange(COUNT), random.integers(0, COUNT, 12)):
        told = []
        frames, indices = read_frames(video(name, container), lambda n, w=wanted, t=told: t.append(n) or w)
        assert told == [COUNT]
        assert (indices == wanted).all()
        check(frames, indices, CODINGS[name].exact)


@pytest.mark.parametrize(("name", "container"), CASES)
def test_in_spans(video, name, container):
    """Ends of the video, and starts at each place of a group of pictures; more than one group deep in the file."""
    picks = np.array([5, 0, 3, 3])
    for start in (0, 1, *range(52, 66, 2 if container == "mp4" else 6), COUNT - 6):
        told = []
        frames, indices = read_frames(
            video(name, container), lambda n, t=told: t.append(n) or picks, "auto", (start, start + 6)
        )
        assert told == [6]
        assert (indices == start + picks).all()
        check(frames, indices, CODINGS[name].exact)


@pytest.mark.parametrize(("name", "container"), CASES)
def test_decord_gives_the_right_frames_or_none(video, name, container):
    """It is right where it can seek: closed groups of pictures in a file that says how many frames it has."""
    wanted = np.random.default_rng(2).integers(0, COUNT, 24)
    refused = nullcontext() if (name, container) in SEEKABLE else suppress(ClipError)
    with refused:
        frames, _ = read_frames(video(name, container), lambda n: wanted, "decord")
        check(frames, wanted, CODINGS[name].exact)


@pytest.mark.parametrize("name", ["h264 b", "h264 open", "mpeg4 b"])
def test_a_span_is_read_without_what_comes_before_or_after(video, tmp_path, name):
    """The other frames' bytes are zeroed: whoever decodes them fails or takes wrong frames for references."""
    path, content = tmp_path / "span.mp4", bytearray(video(name, "mp4").read_bytes())
    with av.open(str(video(name, "mp4"))) as file:
        for place, entry in enumerate(file.streams.video[0].index_entries):
            if not 12 <= place < 90:  # 70 less 32 for reordering, less two groups of 12
                content[entry.pos : entry.pos + entry.size] = bytes(entry.size)
    path.write_bytes(content)
    frames, indices = read_frames(path, np.arange, "auto", (70, 75))
    check(frames, indices, False)


def test_a_span_asks_for_no_more_of_the_file_than_its_index(tmp_path, video):
    """Cut behind the span, the index in front: the span is there, the whole video is not."""
    path = tmp_path / "front.mp4"
    with av.open(str(video("h264 b", "mp4"))) as file, av.open(str(path), "w", options={"movflags": "faststart"}) as to:
        stream = to.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                to.mux(packet)
    with av.open(str(path)) as file:
        end = file.streams.video[0].index_entries[80].pos
    path.write_bytes(path.read_bytes()[:end])
    frames, indices = read_frames(path, np.arange, "auto", (60, 70))
    check(frames, indices, False)
    for span in (None, (90, 95)):
        with pytest.raises(ClipError) as caught:
            read_frames(path, np.arange, "auto", span)
        assert caught.value.kind == "undecodable"


@pytest.mark.parametrize("span", [None, (40, 60)])
def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path, video, span):
    """What cutting a clip out of a video without encoding it anew leaves behind: 20 frames before time 0."""
    path = tmp_path / "cut.mp4"
    with av.open(str(video("h264 b", "mp4"))) as file, av.open(str(path), "w") as to:
        stream = to.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                shift = 20 * packet.duration
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                to.mux(packet)
    told = []
    frames, indices = read_frames(path, lambda n: told.append(n) or np.array([0, 7, 19]), "auto", span)
    assert told == [80 if span is None else 20]
    assert nearest(frames, SOURCE) == (indices + 20).tolist()


@pytest.mark.parametrize("width", [16, 24, 48, 50, 72])
def test_narrow_frames_are_read(tmp_path, width):
    source = noise(5, (32, width))
    frames, _ = read_frames(encode(tmp_path / "narrow.avi", source, "ffv1", "bgr0"), lambda n: np.array([4, 0]))
    assert (frames == source[[4, 0]]).all()
