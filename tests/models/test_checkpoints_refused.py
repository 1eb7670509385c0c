"""Reading a checkpoint runs nothing that is in it: whatever asks for more than tensors is refused by name."""

import io
import operator
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vxbench.errors import UserError
from vxbench.models.checkpoints import read_weights
from vxbench.models.loading import IGNORED

WEIGHTS = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.zeros(3)}


class Call:
    """Unpickling it makes a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def baits(path) -> dict:
    """{what a refusal names: an object whose unpickling would create a file at path}."""
    return {
        "posix.system": Call(os.system, f"touch {path}"),
        "io.open": Call(open, str(path), "w"),
        "eval": Call(eval, f"open({str(path)!r}, 'w')"),
        "pathlib": Call(path.touch),  # pickled as getattr(path, "touch")()
        "operator.methodcaller": Call(operator.methodcaller("touch"), path),
    }


NAMES = list(baits(Path("anywhere")))


def nested(bait):
    """The getattr trick inside what a log may hold: an object array in a dictionary in a list."""
    array = np.empty(1, dtype=object)
    array[0] = {"log": [bait]}
    return array


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [lambda bait: bait, nested], ids=["plain", "in an object array"])
@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_that_calls_is_refused_by_the_name_of_the_function(name, wrap, zipped, tmp_path):
    bait = wrap(baits(tmp_path / "owned")[name])
    path = tmp_path / "bad.pth"
    torch.save({"state_dict": WEIGHTS, "extra": bait}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"bad\.pth is refused: to be loaded it asks for {name}") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_the_bait_would_be_taken_by_an_unsafe_reader(tmp_path):
    for name in NAMES:
        pickle.loads(pickle.dumps(nested(baits(tmp_path / name)[name])))
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_plain_pickle_is_refused(protocol, tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Call(os.system, f"touch {tmp_path}/owned"), protocol))
    with pytest.raises(UserError, match=r"bad\.pkl is refused"):
        read_weights(tmp_path / "bad.pkl")
    assert not (tmp_path / "owned").exists()


def test_the_tar_files_of_old_are_refused(tmp_path):
    """torch 0.1's format: a tar of pickles."""
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            content = pickle.dumps(Call(os.system, f"touch {tmp_path}/owned"), 2)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match=r"bad\.tar is refused: it is no plain file of weights"):
        read_weights(tmp_path / "bad.tar")
    assert not (tmp_path / "owned").exists()


def test_a_program_of_torchscript_is_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"bad\.pt is refused: it is no plain file of weights"):
        read_weights(tmp_path / "bad.pt")


@pytest.mark.parametrize("name", IGNORED)
def test_nothing_that_is_let_through_does_anything(name, tmp_path):
    """Called on what would make the real one act, then its result called: the one is inert, the other refused."""
    module, function = name.rsplit(".", 1)

    def program(*calls: bytes) -> bytes:
        return b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"".join(calls) + b"."

    def stored(pickled: bytes):
        with zipfile.ZipFile(tmp_path / "w.pth", "w") as file:
            file.writestr("archive/data.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + pickled[2:-1] + b"s.")
            file.writestr("archive/version", "3\n")
            file.writestr("archive/byteorder", "little")
        return tmp_path / "w.pth"

    once = b"X\x01\x00\x00\x00aX\x05\x00\x00\x00upper\x86R"  # ("a", "upper"), a tuple, called with
    with pytest.raises(UserError, match="holds no state_dict of tensors"):
        read_weights(stored(program(once)))
    with pytest.raises(UserError, match="is refused: it is no plain file of weights"):
        read_weights(stored(program(once, b")R")))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(3, device="meta"),
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]),
    ],
    ids=["meta", "sparse", "quantised", "nested"],
)
def test_tensors_without_plain_numbers_are_no_weights(make, tmp_path):
    torch.save(WEIGHTS | {"odd": make()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no state_dict of tensors"):
        read_weights(tmp_path / "w.pth")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """The same weights in the three formats that are read."""
    folder = tmp_path_factory.mktemp("whole")
    save_file(WEIGHTS, folder / "w.safetensors")
    torch.save(WEIGHTS, folder / "zip.pth")
    torch.save(WEIGHTS, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_read_or_refused_in_one_line(whole_files, tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(whole_files)))
    content = bytearray(whole_files[name])
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    outcome = weights_or_message(path)
    if isinstance(outcome, str):
        assert name in outcome
        assert "\n" not in outcome
    else:
        assert all(isinstance(value, torch.Tensor) for value in outcome.values())


def weights_or_message(path):
    try:
        return read_weights(path)
    except UserError as error:
        return str(error)
