"""Pieces of pickles, byte by byte, and pickles that are made to do harm."""

import io
import pickletools
import struct
import zipfile
from itertools import pairwise

STOP = b"."


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content.encode())) + content.encode()


def raw(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def long(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def numpy_type(code: str, order: str = "|") -> bytes:
    """numpy.dtype(code) and its state."""
    made = name("numpy", "dtype") + text(code) + b"\x89\x88\x87R"
    return made + b"(K\x03" + text(order) + b"NNN" + number(-1) + number(-1) + b"K\x00tb"


def scalar(code: str, content: bytes) -> bytes:
    return name("numpy.core.multiarray", "scalar") + numpy_type(code) + raw(content) + b"\x86R"


def twice(pair: bytes) -> bytes:
    """A value that holds the one before it twice, 60 times over: 2^60 parts in some hundred bytes."""
    kept = (b"r" + struct.pack("<I", i) + pair.replace(b"*", b"j" + struct.pack("<I", i)) for i in range(60))
    return b"N" + b"".join(kept)


TUPLES = twice(b"*\x86")  # whose hash visits all parts
LISTS = twice(b"0](**e")
DICTS = twice(b"0}(" + text("a") + b"*" + text("b") + b"*u")


def program(body: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + body + STOP


def entry(value: bytes, key: bytes = text("a/b")) -> bytes:
    """A dict of one value."""
    return program(b"}" + key + value + b"s")


def opcodes(pickled: bytes) -> list[bytes]:
    """The pickle in pieces, one an opcode with its argument."""
    starts = [place for _, _, place in pickletools.genops(pickled)]
    return [pickled[start:end] for start, end in pairwise([*starts, len(pickled)])]


def zipped(pickled: bytes, like: bytes | None = None) -> bytes:
    """A torch file with this pickle, with the tensors of another."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for part, content in _parts(like).items():
            file.writestr(part, pickled if part.endswith("data.pkl") else content)
    return made.getvalue()


def _parts(like: bytes | None) -> dict[str, bytes]:
    if like is None:
        return {"a/data.pkl": b"", "a/version": b"3\n", "a/byteorder": b"little"}
    with zipfile.ZipFile(io.BytesIO(like)) as file:
        return {part: file.read(part) for part in file.namelist()}


def unzipped(file: bytes) -> bytes:
    """The pickle in a torch file."""
    return next(content for part, content in _parts(file).items() if part.endswith("data.pkl"))
