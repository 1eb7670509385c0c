"""No pickle runs anything, hangs, fills the memory or ends the process: what is in it is read, or it is refused."""

import pickle
import struct

import pytest
import torch
from helpers.pickle_pieces import (
    DICTS,
    LISTS,
    TUPLES,
    entry,
    long,
    name,
    number,
    numpy_type,
    program,
    raw,
    scalar,
    text,
    zipped,
)
from helpers.read_files import read_in_time

pytestmark = pytest.mark.slow

LIMIT_S = 5  # a file; each takes some milliseconds
CALL = name("os", "system") + text("touch owned") + b"\x85R"
ARRAY = name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85" + raw(b"b") + b"\x87R"
MODULUS = 2**61 - 1  # of the hashes of whole numbers: its multiples have one hash
ONE_HASH = [long(MODULUS * k << 8) for k in range(1, 20_001)]


def array(shape: bytes, content: bytes, code: str = "u1") -> bytes:
    return ARRAY + b"(K\x01" + shape + numpy_type(code) + b"\x89" + raw(content) + b"tb"


ANNOTATIONS = {
    "a call": entry(CALL),
    "a call by protocol 4": entry(b"\x8c\x02os\x8c\x06system\x93" + text("touch owned") + b"\x85R"),
    "a class": program(b"(S'touch owned'\nios\nsystem\n", 0),
    "a call where the state should be": entry(ARRAY + CALL + b"b"),
    "bytes as pointers": entry(scalar("O8", struct.pack("<Q", 0x4141414141414141))),
    "an array of pointers": entry(array(b"K\x01\x85", struct.pack("<Q", 0x4141414141414141), "O8")),
    "an array of records": entry(scalar("V8", b"\x41" * 8)),
    "more shape than bytes": entry(array(number(2**31 - 1) + b"\x85", b"\0" * 8)),
    "a negative shape": entry(array(number(-1) + number(-8) + b"\x86", b"\0" * 8)),
    "a type of a gigabyte": entry(scalar("U9999", b"\0" * 4)),
    "tuples as a key": program(b"}" + TUPLES + b"Ns"),
    "tuples as boxes": entry(b"}" + text("annotations") + b"](}(" + text("boxes") + TUPLES + b"ues"),
    "lists": entry(LISTS),
    "dicts": entry(DICTS),
    "a list in itself": entry(b"]q\x00h\x00a"),
    "a dict in its own tuple": entry(b"}q\x00h\x00\x85q\x010h\x00" + text("a") + b"h\x01s"),
    "a tower of lists": program(b"]" * 100_000 + b"a" * 99_999),
    "a tower of marks": program(b"(" * 1_000_000),
    "keys of one hash": program(b"}(" + b"N".join([*ONE_HASH, b""]) + b"u"),
    "a memo of gigabytes": program(b"]r\xff\xff\xff\xff"),
    "a number of a million digits": entry(b"\x8b" + struct.pack("<i", 400_000) + b"\x7f" * 400_000),
    "a text that ends beyond the file": program(b"\x8d" + struct.pack("<Q", 2**40)),
    "bytes that end beyond the file": program(b"\x8e" + struct.pack("<Q", 2**62)),
    "a reference outwards": entry(text("x") + b"Q"),
    "an extension": entry(b"\x82\x01"),
}
CHECKPOINTS = {
    "a call": entry(CALL),
    "tuples as a key": program(b"}" + TUPLES + b"Ns"),
    "tuples in a set": program(name("__builtin__", "set") + b"](" + TUPLES + b"e\x85R"),
    "tuples in a counter": program(name("collections", "Counter") + b"}" + TUPLES + b"Ns\x85R"),
    "tuples in an ordered dict": program(name("collections", "OrderedDict") + b"](](" + TUPLES + b"Nee\x85R"),
    "tuples in an array's state": entry(ARRAY + TUPLES + b"b"),
    "tuples that name a storage": program(text("storage") + b"N" + TUPLES + b"NN(" + b"t" + b"Q"),
    "a size as a key": program(b"}" + name("torch", "Size") + TUPLES + b"\x85RNs"),
    "keys of one hash": program(b"}(" + b"N".join([*ONE_HASH, b""]) + b"u"),
    "a set of one hash": program(name("__builtin__", "set") + b"](" + b"".join(ONE_HASH) + b"e\x85R"),
    "lists": entry(LISTS),
    "the same set over and over": program(
        b"]("
        + b"("
        + b"N" * 1000
        + b"tr\x10\0\0\0"
        + b"j\x10\0\0\0" * 5000
        + b"eq\xff0"
        + (name("__builtin__", "set") + b"h\xff\x85R0") * 5000
        + b"N"
    ),
}


def files(folder):
    """Every pickle as an annotation, or as a checkpoint in each of torch's two formats."""
    folder.mkdir()
    (folder / "0.pkl").write_bytes(pickle.dumps({"a/b": {"annotations": []}}))
    (folder / "0.pth").write_bytes(b"")
    torch.save({"a": torch.zeros(1)}, folder / "0.pth")
    for title, pickled in ANNOTATIONS.items():
        (folder / f"{title}.pkl").write_bytes(pickled)
    for title, pickled in CHECKPOINTS.items():
        (folder / f"{title}.zip.pth").write_bytes(zipped(pickled))
        (folder / f"{title}.old.pth").write_bytes(old(pickled))
    return folder


def old(pickled: bytes) -> bytes:
    """A torch file of before 1.6: magic number, protocol, sizes, and the pickle."""
    return program(long(0x1950A86A20F9469CFC6C)) + program(b"M\xe9\x03") + program(b"}") + pickled


def test_no_pickle_does_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = files(tmp_path / "files")
    became = read_in_time(folder, 120)
    assert len(became) == 2 + len(ANNOTATIONS) + 2 * len(CHECKPOINTS)
    assert [name for name, (_, said) in became.items() if said == "read"] == ["0.pkl", "0.pth"]
    assert not [name for name, (took, _) in became.items() if took > LIMIT_S]
    assert not [path for path in tmp_path.rglob("*") if path.name == "owned"]
