import av
import numpy as np
import pytest
from helpers.videos import encode, numbered

from vxbench.datasets.decode import read_frames
from vxbench.datasets.streams import read_header
from vxbench.datasets.view import Sampler
from vxbench.errors import ClipError, OutOfRange

DECODERS = ("auto", "decord", "pyav")


def every(n):
    return np.arange(n)


def numbers(frames, number_of):
    return [number_of(frame) for frame in frames]


def attempt(path, pick):
    """Frames, indices and no kind, or neither of them and the ClipError's kind."""
    try:
        return *read_frames(path, pick), None
    except ClipError as error:
        return None, None, error.kind


@pytest.fixture
def xvid(tmp_path, make_video):
    return make_video(tmp_path / "good.avi", 60, bf="0")


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_are_those_asked_for_in_the_order_asked_for(xvid, number_of, decoder):
    wanted = np.array([41, 3, 3, 59, 0])
    frames, indices = read_frames(xvid, lambda n: wanted, decoder)
    assert frames.dtype == np.uint8
    assert frames.shape == (5, 96, 128, 3)
    assert numbers(frames, number_of) == wanted.tolist() == indices.tolist()


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_sampler_is_told_the_number_of_frames(xvid, decoder):
    told = []
    read_frames(xvid, lambda n: told.append(n) or np.array([0]), decoder)
    assert told == [60]


def test_decord_and_pyav_agree(xvid):
    a, b = (read_frames(xvid, every, name)[0].astype(int) for name in ("decord", "pyav"))
    # Their FFmpeg versions may round an inverse transform differently: at most 2 of 255 levels, in few pixels.
    assert np.abs(a - b).max() <= 2
    assert np.abs(a - b).mean() < 1e-3


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_avi_with_b_frames_comes_in_the_right_order(tmp_path, make_video, number_of, decoder):
    path = make_video(tmp_path / "b.avi", 60, bf="2")
    wanted = np.array([7, 20, 33, 34, 58])
    frames, _ = read_frames(path, lambda n: wanted, decoder)
    assert numbers(frames, number_of) == wanted.tolist()


def test_a_raw_stream_is_counted_by_decoding(tmp_path, make_video, number_of):
    path = make_video(tmp_path / "raw.mp4", 40, container="m4v", bf="0")
    assert read_header(path).announced == 0
    frames, indices = read_frames(path, Sampler("last", 8))
    assert numbers(frames, number_of) == indices.tolist() == [4, 9, 14, 19, 24, 29, 34, 39]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_missing_file_is_missing(tmp_path, decoder):
    with pytest.raises(ClipError, match=r"gone\.avi") as caught:
        read_frames(tmp_path / "gone.avi", every, decoder)
    assert caught.value.kind == "missing"


def empty(path, xvid):
    path.touch()


def noise(path, xvid):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def half(path, xvid):
    content = xvid.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def head(path, xvid):
    path.write_bytes(xvid.read_bytes()[:100])


def audio(path, xvid):
    with av.open(str(path), "w", format="wav") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("damage", [empty, noise, half, head, audio])
def test_a_damaged_file_is_undecodable_in_one_line(tmp_path, xvid, damage, decoder):
    path = tmp_path / "damaged.avi"
    damage(path, xvid)
    with pytest.raises(ClipError, match=r"damaged\.avi") as caught:
        read_frames(path, Sampler("centre", 8), decoder)
    assert caught.value.kind == "undecodable"
    assert "\n" not in caught.value.message


def test_a_video_cut_anywhere_is_never_padded(tmp_path, xvid, number_of):
    """Either the loss is within the two frames that a header may be off, or the clip is refused."""
    content, path, refused = xvid.read_bytes(), tmp_path / "cut.avi", 0
    for kept in np.linspace(len(content) // 20, len(content) - 1, 30).astype(int):
        path.write_bytes(content[:kept])
        frames, indices, kind = attempt(path, Sampler("last", 4))
        if kind:
            refused += 1
            assert kind == "undecodable"
        else:
            assert indices[-1] >= 57
            assert numbers(frames[:-1], number_of) == indices[:-1].tolist()  # the very last may be cut in two
    assert refused > 20


def test_flipped_bytes_end_in_frames_or_a_clip_error(tmp_path, xvid):
    content, path = np.frombuffer(xvid.read_bytes(), dtype=np.uint8), tmp_path / "flipped.avi"
    for seed in range(25):
        random = np.random.default_rng(seed)
        damaged = content.copy()
        damaged[random.integers(0, len(content), 40)] = random.integers(0, 256, 40)
        path.write_bytes(damaged.tobytes())
        frames, _, kind = attempt(path, Sampler("centre", 4))
        assert kind == "undecodable" or frames.shape[0] == 4


def test_an_unknown_decoder_is_refused(xvid):
    with pytest.raises(OutOfRange, match="decoder = opencv is not one of auto, decord, pyav"):
        read_frames(xvid, every, "opencv")


def test_real_avi_files_decode_alike(real_clips):
    for path in sorted((real_clips / "ucf101/videos").rglob("*.avi")):
        a, b = (read_frames(path, Sampler("centre", 16), name)[0].astype(int) for name in ("auto", "pyav"))
        assert np.abs(a - b).max() <= 2, path.name  # see test_decord_and_pyav_agree


def test_real_raw_streams_have_the_annotated_number_of_frames(real_clips):
    counted = {}
    for path in sorted((real_clips / "ucf101/videos_340x256_m4v").rglob("*.mp4")):
        read_frames(path, lambda n, name=path.stem: counted.update({name: n}) or np.array([0]))
    assert counted == {
        "v_Basketball_g01_c02": 180,
        "v_Basketball_g07_c04": 101,
        "v_HorseRiding_g01_c03": 98,
        "v_SalsaSpin_g03_c01": 168,
    }


def av1(path):
    """AV1 in MP4, a file that decord refuses."""
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this PyAV does not encode AV1")
    return encode(path, np.stack([numbered(index) for index in range(20)]), "libsvtav1", "yuv420p", preset="12")


def test_auto_reads_what_decord_cannot_open(tmp_path, number_of):
    path = av1(tmp_path / "clip.mp4")
    assert numbers(read_frames(path, every)[0], number_of) == [*range(20)]
    with pytest.raises(ClipError) as caught:
        read_frames(path, every, "decord")
    assert caught.value.kind == "undecodable"
