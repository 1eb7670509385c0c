"""Annotations and checkpoints with other bytes and opcodes: read or refused in one line, and nothing else.

VXBENCH_MUTANTS=500 tries as many of each kind of file.
"""

import os
import pickle
import pickletools
from itertools import cycle

import numpy as np
import pytest
import torch
from helpers.pickle_pieces import DICTS, LISTS, TUPLES, long, name, number, opcodes, raw, scalar, text, unzipped, zipped
from helpers.read_files import read_in_time
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("VXBENCH_MUTANTS", "60"))
LIMIT_S = 10
WEIGHTS = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.zeros(3), "half": torch.ones(2).half()}
STATE = {"state_dict": WEIGHTS, "optimizer": {"state": {0: {"step": 3}}}, "meta": {"epoch": 2, "at": (1.5, "x", None)}}
BOXES = np.asfortranarray(np.arange(8, dtype=np.uint8).reshape(2, 4))
TUBES = [
    {"label": np.uint8(1), "ef": 2, "sf": 0, "boxes": BOXES},
    {"label": 1, "ef": 3, "sf": 1, "boxes": BOXES.astype(int)},
]
ENTRIES = {
    np.str_(f"Biking/v{i}"): {"annotations": TUBES[: i + 1], "numf": np.uint16(300), "label": 1} for i in range(2)
}
HARM = (
    name("os", "system") + text("touch owned") + b"\x85R",
    name("builtins", "eval") + text("open('owned', 'w')") + b"\x85R",
    *(TUPLES, LISTS, DICTS, TUPLES + b"Ns", scalar("O8", b"A" * 8), raw(b"B" * 9), long(2**500), number(-1)),
    *(b"(", b"0", b"1", b"2", b"R", b"b", b"t", b"e", b"u", b"s", b"a", b"Q", b"\x81", b"\x93", b"h\x00"),
)


def with_other_bytes(content: bytes, random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.integers(1, 8)):
        changed[random.integers(len(changed))] = random.integers(256)
    return bytes(changed)


def cut(content: bytes, random) -> bytes:
    return content[: random.integers(len(content))]


def moved(content: bytes, random) -> bytes:
    start, end, to = np.sort(random.integers(0, len(content), 3))
    return content[:start] + content[end:to] + content[start:end] + content[to:]


def with_other_opcodes(content: bytes, random) -> bytes:
    """Leaves out, doubles, exchanges, disfigures or adds some opcodes."""
    codes = opcodes(content)
    for _ in range(random.integers(1, 4)):
        a, b = random.integers(0, len(codes), 2)
        match random.integers(5):
            case 0:
                codes[a] = b""
            case 1:
                codes[a] += codes[b]
            case 2:
                codes[a], codes[b] = codes[b], codes[a]
            case 3:
                codes[a] = bytes([random.integers(256)]) + codes[a][1:]
            case _:
                codes[a] += HARM[random.integers(len(HARM))]
    return b"".join(codes)


def mutated(content: bytes, random) -> bytes:
    """One kind of damage to a pickle, its opcodes most often."""
    kinds = (with_other_opcodes, with_other_opcodes, with_other_opcodes, with_other_bytes, cut, moved)
    return kinds[random.integers(len(kinds))](content, random)


def mutated_zip(content: bytes, random) -> bytes:
    """Damage to the pickle in a torch file, or to the file."""
    if random.integers(2):
        return zipped(mutated(unzipped(content), random), content)
    return (with_other_bytes, cut, moved)[random.integers(3)](content, random)


def mutated_old(content: bytes, random) -> bytes:
    """Damage to the fourth of the pickles at the head of an older torch file, or anywhere."""
    if random.integers(2):
        start, end = fourth_pickle(content)
        return content[:start] + mutated(content[start:end], random) + content[end:]
    return (with_other_bytes, cut, moved)[random.integers(3)](content, random)


def fourth_pickle(content: bytes) -> tuple[int, int]:
    """The places at which it begins and ends."""
    ends = [0]
    for _ in range(4):
        *_, (_, _, place) = pickletools.genops(content[ends[-1] :])
        ends.append(ends[-1] + place + 1)
    return ends[-2], ends[-1]


def mutated_bytes(content: bytes, random) -> bytes:
    return (with_other_bytes, cut, moved)[random.integers(3)](content, random)


def saved(path, zip_file: bool) -> bytes:
    torch.save(STATE, path, _use_new_zipfile_serialization=zip_file)
    return path.read_bytes()


def check(folder, sound: dict[str, bytes], mutate: dict) -> None:
    """Reads each sound file, and in turn COUNT that are damaged, of which nothing but a line each may come.

    Both by the end of the file's name.
    """
    names = {f"0{end}": content for end, content in sound.items()}
    for seed, end in zip(range(COUNT), cycle(sound)):
        names[f"mutant{seed:05d}{end}"] = mutate[end](sound[end], np.random.default_rng(seed))
    files = folder / "files"
    files.mkdir()
    for file, content in names.items():
        (files / file).write_bytes(content)
    became = read_in_time(files, 120 + COUNT)
    said = [line for _, line in became.values()]
    assert all(became[f"0{end}"][1] == "read" for end in sound)
    assert len(sound) < said.count("read") < COUNT  # some damage is in numbers, most is not
    assert max(took for took, _ in became.values()) < LIMIT_S
    assert max(map(len, said)) < 500 + len(str(folder))
    assert [path.name for path in folder.iterdir()] == ["files"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_annotations_of_each_protocol(folder):
    sound = {f".{protocol}.pkl": pickle.dumps(ENTRIES, protocol) for protocol in range(6)}
    check(folder, sound, dict.fromkeys(sound, mutated))


def test_checkpoints_of_each_format(folder, tmp_path):
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    sound = {
        ".zip.pth": saved(tmp_path / "w.pth", True),
        ".old.pth": saved(tmp_path / "w.pth", False),
        ".safetensors": (tmp_path / "w.safetensors").read_bytes(),
    }
    check(folder, sound, {".zip.pth": mutated_zip, ".old.pth": mutated_old, ".safetensors": mutated_bytes})
