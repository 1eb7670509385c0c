"""The film is read, never a cover or a preview before it; a file without a film is a failure that says so."""

import av
import numpy as np
import pytest
from av.stream import Disposition
from helpers.videos import nearest, noise

from vxbench.datasets.decode import read_frames
from vxbench.errors import ClipError

COUNT = 24
SOURCE = noise(COUNT)


def refusal(path):
    with pytest.raises(ClipError) as caught:
        read_frames(path, np.arange)
    assert caught.value.kind == "undecodable"
    return caught.value.message


def streams(path, *films, marks=None):
    """A file of several video streams, of these frames each, with these dispositions."""
    with av.open(str(path), "w") as file:
        made = [file.add_stream("mjpeg" if len(film) == 1 else "libx264", rate=25) for film in films]
        for stream, film, mark in zip(made, films, marks or [Disposition(0)] * len(films), strict=True):
            stream.height, stream.width = film.shape[1:3]
            stream.pix_fmt, stream.disposition = "yuvj420p" if len(film) == 1 else "yuv420p", mark
        for stream, film in zip(made, films, strict=True):
            for frame in film:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())
    return path


STILL = np.full((1, 80, 80, 3), 200, np.uint8)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("mark", [Disposition(0), Disposition.default, Disposition.attached_pic])
@pytest.mark.parametrize("decoder", ["auto", "decord"])
def test_a_still_before_the_film_is_passed_over(tmp_path, container, mark, decoder):
    path = streams(tmp_path / f"a.{container}", STILL, SOURCE, marks=(mark, Disposition(0)))
    for span in (None, (10, 20)):
        frames, indices = read_frames(path, np.arange, decoder, span)
        assert nearest(frames, SOURCE) == indices.tolist() == [*range(*(span or (0, COUNT)))]


def test_of_two_films_it_is_the_one_marked_as_the_default(tmp_path):
    marks = (Disposition(0), Disposition.default)
    path = streams(tmp_path / "a.mkv", noise(COUNT, seed=1), SOURCE, marks=marks)
    assert nearest(read_frames(path, np.arange)[0], SOURCE) == [*range(COUNT)]


def test_a_cover_alone_is_no_video(tmp_path):
    path = streams(tmp_path / "a.mp4", STILL, marks=[Disposition.attached_pic])
    assert "no video stream" in refusal(path)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert "no video stream" in refusal(path)
