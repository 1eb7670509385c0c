"""Reads pickles by their opcodes: nothing that a file names is imported or called, nothing hangs or fills the memory.

`plain` builds dicts, lists, tuples, numbers, strings and numeric numpy arrays. `measure` builds nothing: it goes before
a reader of others, torch's, that admits more, and stops at what would keep that reader busy for ever.

A pickle uses a value as often as it likes through its memo, so that a few bytes may stand for a value of 2^60 parts,
whose hash takes for ever. Hence a value weighs what it holds, counted each time that it is used, and all steps together
may weigh no more than WORK. Only what is complete may be put into another value, so that a weight once taken stays
true, and nothing holds itself.
"""

import math
import pickletools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

BYTES = 1 << 26  # of a file; UCF101-24's, with 573 862 boxes, has 5 MB
WORK = 1 << 24  # values; UCF101-24's weigh 3 million
DEPTH = 64  # of containers in containers; UCF101-24's are 7 deep
BITS = 2048  # of a whole number; Python refuses to print one of 14 000
HASH_BITS = 60  # up to which no two whole numbers have one hash
ODD_KEY = 1000  # weight of a key whose hash others may share, as the time that n of them take grows with n * n

_OPCODES = [code for code in pickletools.opcodes if code.arg and code.stack_after]
LITERALS = {code.name for code in _OPCODES if code.stack_after != [pickletools.anyobject]}  # they push their argument
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NUMERIC = re.compile(r"([<>=|]?)(b1|[iu][1248]|f[248]|U\d{1,4})")  # of numpy's types
_CORES = ("numpy.core", "numpy._core")  # as numpy called them before and since its version 2


class PickleRefused(ValueError):
    """A pickle that is damaged, or holds what is not admitted; the message says which in one line."""


class TooMuch(PickleRefused):
    """A pickle made to keep its reader busy, or to fill its memory."""


class Name:
    """A name that a pickle would import, never imported here."""

    def __init__(self, name: str):
        self.name = name


class _Thing:
    """Stands for whatever a name would make of its arguments."""


class _Held:
    """A value with parts. weight: of it and all that it holds. depth: of containers. whole: it may grow no more."""

    __slots__ = ("depth", "value", "weight", "whole")

    def __init__(self, value: Any, weight: int, depth: int):
        self.value, self.weight, self.depth, self.whole = value, weight, depth, False


class _Machine:
    """The stack machine that a pickle is a program for, with what both readers share. steps: what its opcodes do."""

    steps: ClassVar[dict[str, Callable[["_Machine", Any], None]]]

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.work = 0

    def run(self, content: bytes | BinaryIO) -> Any:
        """The value of the pickle at the head of content.

        Raises:
            PickleRefused: see there.
        """
        try:
            for opcode, argument, _ in pickletools.genops(content):
                self.step(opcode.name, argument)
            return _value(self.stack.pop())
        except PickleRefused:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise PickleRefused(f"it is damaged ({type(error).__name__}: {error!s:.100})") from error

    def step(self, name: str, argument: Any) -> None:
        """Carries out one opcode."""
        self.spend(1)
        if name in LITERALS:
            self.stack.append(_literal(argument))
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in self.steps:
            self.steps[name](self, argument)
        else:
            raise PickleRefused(f"its opcode {name} is not admitted")

    def spend(self, work: int) -> None:
        self.work += work
        if self.work > WORK:
            raise TooMuch(f"it holds more than {WORK} values, each counted as often as it is used")

    def hold(self, value: Any, parts: Iterable[Any]) -> None:
        """Pushes a value that holds these parts, or is made of them."""
        held = _Held(value, 1, 1)
        self.grow(held, parts)
        self.stack.append(held)

    def grow(self, held: _Held, parts: Iterable[Any]) -> None:
        """Counts the parts as the value's; none of them may grow any more."""
        before = held.weight
        for part in parts:
            if isinstance(part, _Held):
                part.whole = True
                held.weight += part.weight
                held.depth = max(held.depth, part.depth + 1)
            else:
                held.weight += 1
        if held.whole:
            raise TooMuch("it holds a container that grows while it is in another, or in itself")
        if held.depth > DEPTH:
            raise TooMuch(f"its containers are more than {DEPTH} deep in one another")
        self.spend(held.weight - before)

    def marked(self) -> list[Any]:
        """What was pushed since the last mark, taken off the stack."""
        start = self.marks.pop()
        parts = self.stack[start:]
        del self.stack[start:]
        return parts

    def last(self, count: int) -> list[Any]:
        """The last values pushed, taken off the stack."""
        parts = self.stack[-count:]
        if len(parts) < count:
            raise PickleRefused("it is damaged (nothing is on its stack)")
        del self.stack[-count:]
        return parts

    def put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def pack(self, parts: list[Any]) -> None:
        self.hold(tuple(map(_value, parts)), parts)

    def append(self, parts: list[Any]) -> None:
        held = self.stack[-1]
        self.grow(held, parts)
        held.value.extend(map(_value, parts))

    def set(self, parts: list[Any]) -> None:
        held = self.stack[-1]
        self.grow(held, parts)
        for key, value in zip(map(_value, parts[::2]), map(_value, parts[1::2]), strict=True):
            self.set_one(held, key, value)

    def new(self, value: Any, parts: list[Any], fill: Callable) -> None:
        """Pushes an empty container and fills it."""
        self.hold(value, ())
        fill(self, parts)

    def name(self, name: str) -> None:
        self.stack.append(Name(name))

    def call(self) -> None:
        function, arguments = self.last(2)
        self.hold(self.made(_value(function), _value(arguments)), (function, arguments))

    def build(self) -> None:
        """Gives the value on the stack its state."""
        state = self.stack.pop()
        held = self.stack[-1]
        self.grow(held, (state,))
        held.value = self.built(held.value, _value(state))

    def set_one(self, held: _Held, key: Any, value: Any) -> None:
        raise NotImplementedError

    def made(self, function: Any, arguments: Any) -> Any:
        raise NotImplementedError

    def built(self, value: Any, state: Any) -> Any:
        raise NotImplementedError


def _value(held: Any) -> Any:
    return held.value if isinstance(held, _Held) else held


def _literal(argument: Any) -> Any:
    if isinstance(argument, int) and argument.bit_length() > BITS:
        raise TooMuch(f"it holds a whole number of more than {BITS} bits")
    return argument


STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.marked(),
    **{name: lambda machine, index: machine.put(index) for name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")},
    **{name: lambda machine, i: machine.stack.append(machine.memo[i]) for name in ("GET", "BINGET", "LONG_BINGET")},
    "EMPTY_LIST": lambda machine, _: machine.hold([], ()),
    "EMPTY_DICT": lambda machine, _: machine.hold({}, ()),
    "EMPTY_TUPLE": lambda machine, _: machine.hold((), ()),
    "LIST": lambda machine, _: machine.new([], machine.marked(), _Machine.append),
    "DICT": lambda machine, _: machine.new({}, machine.marked(), _Machine.set),
    "TUPLE": lambda machine, _: machine.pack(machine.marked()),
    "TUPLE1": lambda machine, _: machine.pack(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.pack(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.pack(machine.last(3)),
    "APPEND": lambda machine, _: machine.append(machine.last(1)),
    "APPENDS": lambda machine, _: machine.append(machine.marked()),
    "SETITEM": lambda machine, _: machine.set(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.set(machine.marked()),
    "GLOBAL": lambda machine, name: machine.name(name.replace(" ", ".")),
    "STACK_GLOBAL": lambda machine, _: machine.name(".".join(machine.last(2))),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}


class _Plain(_Machine):
    """Builds plain values, and numpy's of their bytes."""

    steps = STEPS

    def name(self, name: str) -> None:
        if name not in MAKERS:
            raise PickleRefused(f"it asks for {name}, which no annotation needs")
        super().name(name)

    def set_one(self, held: _Held, key: Any, value: Any) -> None:
        if not isinstance(key, str):
            raise PickleRefused(f"a key is {type(key).__name__}, not text")
        held.value[key] = value

    def made(self, function: Name, arguments: tuple) -> Any:
        return MAKERS[function.name](*arguments)

    def built(self, value: Any, state: tuple) -> Any:
        return value.with_state(*state)


class _Type:
    """One of numpy's types, of which a pickle says the order of bytes in a state of its own."""

    def __init__(self, name: str, *_: bool):
        self.name = name

    def with_state(self, _version: int, order: str, subarray: None, names: None, fields: None, *_: int) -> "_Type":
        if (subarray, names, fields) != (None, None, None):
            raise PickleRefused("it holds an array of records")
        return _Type(order + self.name)

    @property
    def dtype(self) -> np.dtype:
        if not isinstance(self.name, str) or not NUMERIC.fullmatch(self.name):
            raise PickleRefused(f"it holds numpy's {self.name!r:.20}, which is no number")
        return np.dtype(self.name)


class _Array:
    """An array that its state is still to give."""

    def with_state(self, _version: int, shape: tuple, type: _Type, fortran: bool, content: bytes) -> np.ndarray:
        return _array(content, type, shape, "F" if fortran else "C")


def _array(content: bytes | bytearray | str, type: _Type, shape: tuple, order: str) -> np.ndarray:
    content, dtype = _bytes(content), type.dtype
    if dtype.kind == "U" or math.prod(shape) * dtype.itemsize != len(content) or min(shape, default=0) < 0:
        raise PickleRefused(f"it holds an array of {dtype} {shape} in {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _scalar(type: _Type, content: bytes | str) -> Any:
    """A number or text that was numpy's, as Python's."""
    content, dtype = _bytes(content), type.dtype
    if dtype.itemsize != len(content):
        raise PickleRefused(f"it holds a {dtype} in {len(content)} bytes")
    if dtype.kind == "U":
        return content.decode("utf-32-be" if type.name[0] == ">" else "utf-32-le").rstrip("\0")
    return np.frombuffer(content, dtype)[0].item()


def _bytes(content: bytes | bytearray | str) -> bytes:
    """Bytes, which Python 2 wrote as text."""
    return content.encode("latin-1") if isinstance(content, str) else bytes(content)


MAKERS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": None,
    "numpy.dtype": _Type,
    "_codecs.encode": lambda text, encoding: _bytes(text),  # bytes, in protocols 0 to 2
    **{f"{core}.multiarray._reconstruct": lambda *_: _Array() for core in _CORES},
    **{f"{core}.multiarray.scalar": _scalar for core in _CORES},
    **{f"{core}.numeric._frombuffer": _array for core in _CORES},  # arrays, in protocol 5
}


def plain(path: Path) -> Any:
    """The plain values in a pickle's file: dicts with text as keys, lists, tuples, numbers, text, numeric arrays.

    numpy's numbers and texts come back as Python's; arrays are read-only.

    Raises:
        PickleRefused: it is damaged, asks for anything else, or is beyond BYTES, WORK or DEPTH. OSError: see open.
    """
    if not path.is_file():
        raise PickleRefused("it is no file")
    if path.stat().st_size > BYTES:
        raise TooMuch(f"it has more than {BYTES} bytes")
    return _Plain().run(path.read_bytes())


class _Measured(_Machine):
    """Weighs what another reader will build, and the hashes it will take; a name may make anything."""

    steps = STEPS | {
        "BINPERSID": lambda machine, _: machine.persistent(),
        "EMPTY_SET": lambda machine, _: machine.hold(_Thing(), ()),
    }

    def set_one(self, held: _Held, key: Any, value: Any) -> None:
        held.weight += self.hash(key)

    def append(self, parts: list[Any]) -> None:
        if isinstance(_value(self.stack[-1]), list):  # the other reader may fill lists alone, and says so
            super().append(parts)

    def made(self, function: Any, arguments: tuple) -> _Thing:
        """Whatever is made of lists may hash what they hold, as a set does."""
        for part in [part for argument in arguments if isinstance(argument, list) for part in argument]:
            self.hash(part)
        return _Thing()

    def built(self, value: Any, state: Any) -> Any:
        return value

    def persistent(self) -> None:
        """A storage, which is known by one of the parts of the tuple that refers to it."""
        reference = self.stack.pop()
        for part in _value(reference) if isinstance(_value(reference), tuple) else ():
            self.hash(part)
        self.hold(_Thing(), (reference,))

    def hash(self, key: Any) -> int:
        """Counts the hash of a key; its weight."""
        weight = 1 if _spreads(key) else ODD_KEY
        self.spend(weight)
        return weight


def _spreads(key: Any) -> bool:
    """Whether hashes of such keys are spread out whoever chose them."""
    if isinstance(key, int):
        return key.bit_length() <= HASH_BITS
    return key is None or isinstance(key, str | bytes | float | Name)


def measure(content: BinaryIO) -> None:
    """Goes through the pickle at the head of a file that torch is to read, and leaves the file behind it.

    Raises:
        TooMuch: reading it would take for ever, or more memory than there is. PickleRefused: it is damaged.
    """
    _Measured().run(content)
