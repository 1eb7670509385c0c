"""Writes clips, split lists and annotation as UCF101 and UCF101-24 are published."""

import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np

VIDEOS = Path("ucf101/videos")
LISTS = Path("ucf101/ucfTrainTestlist")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")

FPS = 25
QUANTISER = 4  # of 1 (best) .. 31


def write_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Frames (240, 320) uint32 as Xvid-tagged MPEG-4 in AVI, without B-frames as the files of UCF101 are."""
    import av

    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.codec_context.codec_tag = "XVID"
        video.codec_context.options = {"qmin": str(QUANTISER), "qmax": str(QUANTISER), "bf": "0", "g": "60"}
        video.codec_context.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame.view(np.uint8).reshape(240, 320, 4), format="rgba")
            container.mux(video.encode(picture))
        container.mux(video.encode())


def write_lists(root: Path, classes: list[str], train: list[str], test: list[str]) -> None:
    """classInd (from 1), trainlist with that label and testlist without, of clips '<Class>/<name>'."""
    number = {name: i for i, name in enumerate(classes, start=1)}
    write_lines(root / LISTS / "classInd.txt", [f"{i} {name}" for name, i in number.items()])
    labelled = [f"{clip}.avi {number[clip.split('/')[0]]}" for clip in train]
    write_lines(root / LISTS / "trainlist01.txt", labelled)
    write_lines(root / LISTS / "testlist01.txt", [f"{clip}.avi" for clip in test])
    write_lines(root / TEST_LIST, test)


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def annotation(label: int, n: int, tubes: list[tuple[int, int, np.ndarray]]) -> dict:
    """The entry of one video. Numbers have the smallest type that holds them, arrays are in Fortran order."""
    entries = [
        {
            "label": label,
            "ef": ef,
            "boxes": np.asfortranarray(boxes.astype(np.min_scalar_type(boxes.max()))),
            "sf": sf,
        }
        for sf, ef, boxes in tubes
    ]
    return {"annotations": entries, "numf": np.min_scalar_type(n).type(n), "label": label}


def write_annotation(path: Path, entries: dict[str, dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(entries, file, protocol=3)
