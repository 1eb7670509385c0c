"""Pixels are those that a player shows: which way round, which stream, which frames of a video that lacks some."""

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from helpers.videos import TURNS, as_shown, encode, noise
from PIL import ExifTags, Image

from vxbench.datasets.decode import read_frames
from vxbench.datasets.media import read_media
from vxbench.errors import ClipError

SOURCE = noise(12, (80, 96))
LOSSLESS = {"qp": "0", "x264-params": "keyint=6:scenecut=0"}
DECODERS = ("auto", "decord", "pyav")
# Exif 2.3, tag Orientation: where row 0 and column 0 of the stored picture are to be seen.
EXIF = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def refusal(path, pick=np.arange, *arguments):
    with pytest.raises(ClipError) as caught:
        read_frames(path, pick, *arguments)
    assert caught.value.kind == "undecodable"
    assert path.name in caught.value.message
    return caught.value.message


def by_exif(pixels, value):
    """The picture as its tag says that it is to be seen, from what the tag's values mean."""
    row, column = EXIF[value]
    shown = pixels if row in ("top", "bottom") else pixels.swapaxes(0, 1)
    shown = shown[::-1] if "bottom" in (row, column) else shown
    return shown[:, ::-1] if "right" in (row, column) else shown


def jpeg(pixels, value):
    content, exif = BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    Image.fromarray(pixels).save(content, "JPEG", exif=exif, quality=95, subsampling=0)
    return content.getvalue()


@pytest.mark.parametrize("matrix", TURNS)
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_all_turns_and_mirrors_of_a_display_matrix(tmp_path, container, matrix):
    path = encode(tmp_path / f"a.{container}", SOURCE, "libx264rgb", "bgr24", matrix=matrix, **LOSSLESS)
    expected = np.stack([as_shown(SOURCE[index], matrix) for index in (7, 2, 2)])
    for decoder in DECODERS:
        frames, _ = read_frames(path, lambda n: np.array([7, 2, 2]), decoder)
        np.testing.assert_array_equal(frames, expected)
    in_span, _ = read_frames(path, lambda n: np.array([3]), "auto", (4, 9))
    np.testing.assert_array_equal(in_span[0], expected[0])


@pytest.mark.parametrize(("degrees", "scale"), [(90, 2), (180, 0.5), (90.5, 1), (0.5, 1)])
def test_a_matrix_that_also_scales_or_leans_by_less_than_a_degree(tmp_path, degrees, scale):
    angle = np.radians(degrees)
    matrix = [scale * value for value in (np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))]
    path = encode(tmp_path / "a.mp4", SOURCE, "libx264rgb", "bgr24", matrix=matrix, **LOSSLESS)
    quarter = [round(value / scale) for value in matrix]
    np.testing.assert_array_equal(read_frames(path, lambda n: np.array([5]))[0][0], as_shown(SOURCE[5], quarter))


def test_a_picture_that_leans_is_refused(tmp_path):
    path = encode(tmp_path / "a.mp4", SOURCE, "libx264rgb", "bgr24", matrix=(0.8, 0.6, -0.6, 0.8), **LOSSLESS)
    assert "leaning" in refusal(path)


def test_a_matrix_that_shows_nothing_says_nothing(tmp_path):
    """FFmpeg shows such a picture as it is stored."""
    path = encode(tmp_path / "a.mp4", SOURCE, "libx264rgb", "bgr24", matrix=(0, 0, 0, 1), **LOSSLESS)
    np.testing.assert_array_equal(read_frames(path, np.arange)[0], SOURCE)


@pytest.mark.parametrize(("flip", "rows", "columns"), [("horizontal", 1, -1), ("vertical", -1, 1)])
def test_an_orientation_that_the_stream_itself_states(tmp_path, flip, rows, columns):
    """H.264's message on display orientation, of which the container knows nothing."""
    plain = encode(tmp_path / "plain.mp4", SOURCE, "libx264rgb", "bgr24", **LOSSLESS)
    path = tmp_path / "stated.mp4"
    with av.open(str(plain)) as file, av.open(str(path), "w") as to:
        stream = to.add_stream_from_template(file.streams.video[0])
        option = f"h264_metadata=display_orientation=insert:flip={flip}"
        stating = BitStreamFilterContext(option, file.streams.video[0])
        for packet in file.demux(video=0):
            for stated in stating.filter(packet if packet.size else None):
                stated.stream = stream
                to.mux(stated)
    expected = SOURCE[:, ::rows, ::columns]
    for decoder in DECODERS:
        np.testing.assert_array_equal(read_frames(path, np.arange, decoder)[0], expected)


@pytest.mark.parametrize("value", EXIF)
def test_still_pictures_in_a_folder(tmp_path, value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    for number, frame in enumerate(SOURCE, 1):
        Image.fromarray(frame).save(tmp_path / f"img_{number:05d}.png", exif=exif)
    frames, _ = read_media(tmp_path, np.arange)
    np.testing.assert_array_equal(frames, np.stack([by_exif(frame, value) for frame in SOURCE]))


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0nothing of the kind", b"Exif\0\0" + bytes(40)])
def test_a_damaged_tag_turns_nothing(tmp_path, exif):
    content = BytesIO()
    Image.fromarray(SOURCE[0]).save(content, "JPEG", exif=exif)
    (tmp_path / "img_00001.jpg").write_bytes(content.getvalue())
    assert read_media(tmp_path, np.arange)[0].shape == (1, *SOURCE.shape[1:])


@pytest.mark.parametrize("value", EXIF)
def test_motion_jpeg_of_turned_pictures(tmp_path, value):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SOURCE.shape[1:3], "yuvj444p"
        for number, frame in enumerate(SOURCE):
            packet = av.Packet(jpeg(frame, value))
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux(packet)
    frames, _ = read_frames(path, np.arange)
    expected = np.stack([by_exif(frame, value) for frame in SOURCE])
    assert np.abs(frames.astype(int) - expected).mean() < 10
