"""What UCF101 and UCF101-24 share: where the videos lie, and the official lists.

`ucfTrainTestlist` holds classInd.txt ("1 ApplyEyeMakeup", from 1) and, of each of three folds, trainlist0N.txt
("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1", with the number of classInd) and testlist0N.txt (without it), all with
Windows line ends. The lists of UCF101-24 have neither extension nor number.
"""

from collections.abc import Sequence
from pathlib import Path

from vxbench.datasets.files import Part, distinct, read_lines
from vxbench.errors import UserError

VIDEOS = ("ucf101/videos", "ucf101/UCF-101", "ucf101/rawframes", "ucf101/jpg")
LISTS = Path("ucf101/ucfTrainTestlist")
CLASS_INDEX = LISTS / "classInd.txt"
_OFFICIAL = "of UCF101TrainTestSplits-RecognitionTask.zip from www.crcv.ucf.edu/data/UCF101.php"


SOURCE = "UCF101 from www.crcv.ucf.edu/data/UCF101.php, one folder a class"


def videos_part(videos: Sequence[str]) -> Part:
    """The videos, in any of these folders."""
    return Part(videos, SOURCE, folder=True)


def list_part(path: Path) -> Part:
    """An official list."""
    return Part([path], f"{path.name} {_OFFICIAL}")


def read_list(path: Path) -> list[str]:
    """The clips of a split list as '<Class>/<name>'; extension, label, blank lines and CRLF may be there.

    Raises:
        UserError: it is no text, or a clip is there twice.
    """
    return list(read_labelled(path))


def read_labelled(path: Path) -> dict[str, str | None]:
    """Clip '<Class>/<name>' -> the number behind it in a split list, None where there is none.

    Raises:
        UserError: see `read_list`.
    """
    lines = [words for line in read_lines(path) if (words := line.split())]
    clips = distinct([words[0].removesuffix(".avi") for words in lines], path)
    return {clip: words[1] if len(words) > 1 else None for clip, words in zip(clips, lines, strict=True)}


def read_classes(path: Path) -> list[str]:
    """The classes of classInd.txt in its order: number 1 first.

    Raises:
        UserError: the numbers are not 1, 2, 3, ..., or a class is there twice.
    """
    lines = [line.split() for line in read_lines(path) if line.strip()]
    for number, words in enumerate(lines, start=1):
        if len(words) != 2 or words[0] != str(number):
            raise UserError(f"{path}: line {number} is {' '.join(words)!r}, not '{number} <Class>'; get it anew")
    return distinct([name for _, name in lines], path)


def class_of(id: str) -> str:
    """The class of a clip '<Class>/<name>'."""
    return id.split("/")[0]
