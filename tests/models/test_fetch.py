"""A checkpoint file is had whole and as published, or not at all, and the one line of the error says how to get it."""

import fcntl
import hashlib
import os
import re
import socket
import subprocess
import sys

import pytest
from helpers.file_server import serve
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import UserError
from vxbench.models import fetch
from vxbench.models.checkpoints import Checkpoint
from vxbench.models.fetch import obtain

CONTENT = bytes(range(256)) * 5000  # more than one block
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OFFICIAL = "/zoo/v1/net-1234.pth"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.2)
    with serve() as server:
        server.files[OFFICIAL] = CONTENT
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def entry(folder, server):
    return {"file": f"{folder}/net.pth", "url": server.root + OFFICIAL, "sha256": SHA256[:8]}


def failure(*args, **kwargs) -> str:
    """The message with which obtain refuses; it is one line."""
    with pytest.raises(UserError) as caught:
        obtain(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def visible(folder) -> list[str]:
    """Files left in folder, but for the lock, which is kept."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_downloaded_once_under_its_name(entry, folder, server):
    assert obtain(entry, download=True) == folder / "net.pth"
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert visible(folder) == ["net.pth"]
    obtain(entry, download=True)
    assert server.asked == [OFFICIAL]


def test_one_line_tells_of_a_download(entry, capfd):
    obtain(entry, download=True)
    assert capfd.readouterr().err.splitlines() == [f"fetching {entry['url']} (1 MB)"]


def test_nothing_is_asked_over_the_network_unless_told_to(entry, folder, server):
    said = failure(entry, hint="or go without")
    assert said == (
        f"checkpoint {folder}/net.pth does not exist; download=true fetches it; "
        f"put {entry['url']} into {folder} as net.pth; or go without"
    )
    failure(entry, mirror=server.root)
    assert server.asked == []


def test_an_unpublished_file_names_its_source_and_no_switch(folder):
    said = failure({"file": f"{folder}/net.pth", "source": "ask the authors"}, download=True)
    assert said == f"checkpoint {folder}/net.pth does not exist (ask the authors); put it into {folder} as net.pth"


def test_a_file_without_an_entry_is_not_looked_for_elsewhere(folder, tmp_path):
    (tmp_path / "net.pth").write_bytes(CONTENT)
    said = failure(f"{folder}/net.pth", mirror=tmp_path, download=True, hint="or go without")
    assert said == f"checkpoint {folder}/net.pth does not exist; or go without"


def test_the_name_is_not_said_twice(folder):
    entry = {"file": f"{folder}/net.pth", "url": "https://zoo.example/net.pth"}
    assert failure(entry).endswith(f"put https://zoo.example/net.pth into {folder}")


def test_a_redirect_is_followed(entry, folder, server):
    server.redirects["/latest"] = OFFICIAL
    obtain(entry | {"url": f"{server.root}/latest"}, download=True)
    assert (folder / "net.pth").read_bytes() == CONTENT


def test_a_redirect_to_a_local_file_is_not(entry, tmp_path, server):
    (tmp_path / "secret").write_bytes(CONTENT)
    server.redirects["/latest"] = f"file://{tmp_path}/secret"
    assert "cannot be fetched" in failure(entry | {"url": f"{server.root}/latest"}, download=True)


def test_a_server_may_keep_the_length_to_itself(entry, folder, server):
    server.fault = "chunked"
    obtain(entry, download=True)
    assert (folder / "net.pth").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("cut", "broke off"),
        ("stall", "gives no answer for 0.2 s"),
        ("mute", "gives no answer for 0.2 s"),
        ("html", "answers with a web page"),
        (404, "answers 404 Not Found"),
        (500, "answers 500 Internal Server Error"),
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_a_download_that_fails_is_one_line_and_leaves_nothing(fault, reason, checked, entry, folder, server):
    server.fault = fault
    if not checked:
        entry.pop("sha256")
    said = failure(entry, download=True)
    assert said.startswith(f"checkpoint {folder}/net.pth does not exist; {entry['url']} {reason}")
    assert said.endswith(f"put {entry['url']} into {folder} as net.pth")
    assert visible(folder) == []


def test_a_host_that_does_not_answer_is_one_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # nobody listens there once it is closed
    said = failure({"file": f"{folder}/net.pth", "url": f"http://127.0.0.1:{port}/net.pth"}, download=True)
    assert f"http://127.0.0.1:{port}/net.pth cannot be reached" in said


def test_another_file_than_the_published_one_is_not_kept(entry, folder):
    said = failure(entry | {"sha256": "0123abcd"}, download=True)
    assert f"{folder}/net.pth from {entry['url']} is refused" in said
    assert f"begins with {SHA256[:8]}, the published one with 0123abcd" in said
    assert visible(folder) == []


def test_a_file_that_lay_there_is_checked_too(entry, folder, server):
    folder.mkdir()
    (folder / "net.pth").write_bytes(CONTENT[:-1])
    found = hashlib.sha256(CONTENT[:-1]).hexdigest()[:8]
    assert f"{folder}/net.pth is refused: its SHA-256 begins with {found}" in failure(entry, download=True)
    assert server.asked == []
    assert visible(folder) == ["net.pth"]  # the user's file is theirs to delete


@given(position=st.integers(0, 999), flip=st.integers(1, 255), digits=st.integers(8, 64))
@settings(max_examples=50, deadline=None)
def test_a_single_changed_byte_is_refused(position, flip, digits, tmp_path_factory):
    """With 8 digits a wrong file passes once in 2^32."""
    folder, content = tmp_path_factory.mktemp("flip"), bytearray(CONTENT[:1000])
    sha256 = hashlib.sha256(content).hexdigest()[:digits]
    (folder / "whole.pth").write_bytes(content)
    obtain({"file": f"{folder}/whole.pth", "sha256": sha256})
    content[position] ^= flip
    (folder / "flipped.pth").write_bytes(content)
    assert "is refused" in failure({"file": f"{folder}/flipped.pth", "sha256": sha256})


@pytest.mark.parametrize("changed", [CONTENT + b"!", CONTENT[:-1] + b"!"], ids=["longer", "as long"])
def test_a_file_that_changed_is_read_again(changed, entry, folder):
    folder.mkdir()
    (folder / "net.pth").write_bytes(CONTENT)
    obtain(entry)
    (folder / "net.pth").write_bytes(changed)
    os.utime(folder / "net.pth", (1, 1))  # the clock of files may be too coarse to tell the two apart
    assert "is refused" in failure(entry)


@pytest.mark.parametrize("place", ["net.pth", "net-1234.pth", "zoo/v1/net-1234.pth"])
def test_a_mirror_folder_keeps_files_by_name_or_by_address(place, entry, folder, server, tmp_path):
    kept = tmp_path / "mirror" / place
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT)
    assert obtain(entry, mirror=tmp_path / "mirror") == folder / "net.pth"
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize("place", ["/m/net.pth", "/m/net-1234.pth", f"/m{OFFICIAL}"])
def test_a_mirror_on_the_web_is_asked_before_the_official_address(place, entry, folder, server):
    server.files = {place: CONTENT}
    obtain(entry, mirror=f"{server.root}/m/", download=True)
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert OFFICIAL not in server.asked


@pytest.mark.parametrize("kind", ["folder", "web"])
def test_what_a_mirror_does_not_have_comes_from_the_official_address(kind, entry, folder, server, tmp_path):
    obtain(entry, mirror=tmp_path if kind == "folder" else f"{server.root}/m", download=True)
    assert server.asked[-1] == OFFICIAL
    assert visible(folder) == ["net.pth"]


def test_a_damaged_file_of_a_mirror_is_refused_and_not_worked_around(entry, folder, server, tmp_path):
    (tmp_path / "net.pth").write_bytes(b"damaged")
    assert f"{folder}/net.pth from {tmp_path}/net.pth is refused" in failure(entry, mirror=tmp_path, download=True)
    assert server.asked == []
    assert visible(folder) == []


@pytest.mark.parametrize(
    "mirror", ["nowhere", "ftp://127.0.0.1/m", "http://[::1", "~nobody-of-this-name", "m" * 300, "a\0b"]
)
def test_a_mirror_that_is_none_is_refused(mirror, entry):
    assert f"paths.mirror = {mirror} is neither a folder nor an http(s) address" in failure(entry, mirror=mirror)


def test_a_folder_that_cannot_be_written_is_one_line(entry, folder):
    folder.write_text("a file where the folder should be")
    assert f"checkpoint {folder}/net.pth cannot be written" in failure(entry, download=True)


@pytest.mark.parametrize("host", ["h" * 70, "[fe80::1%25]x", "127.0.0.1:port", "a..b"])
def test_a_host_that_cannot_be_is_one_line(host, folder):
    said = failure({"file": f"{folder}/net.pth", "url": f"http://{host}/net.pth"}, download=True)
    assert f"http://{host}/net.pth" in said


@pytest.mark.parametrize("path", ["../net.pth", "%2e%2e/net.pth", "a/../../net.pth"])
def test_no_address_leads_out_of_a_mirror(path, folder, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "net.pth").write_bytes(CONTENT)
    entry = {"file": f"{folder}/mine.pth", "url": f"https://zoo.example/{path}"}
    assert "does not exist" in failure(entry, mirror=tmp_path / "mirror")


class Answer:
    """What requests.get gives: half of a file, without a complaint."""

    status_code = 200

    def __init__(self, headers):
        self.headers = headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def iter_content(self, size):
        yield CONTENT[: len(CONTENT) // 2]


def test_fewer_bytes_than_announced_are_refused(entry, folder, monkeypatch):
    """Old releases of urllib3 do not notice themselves."""
    headers = {"Content-Length": str(len(CONTENT))}
    monkeypatch.setattr("requests.get", lambda *_, **__: Answer(headers))
    assert f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes" in failure(entry, download=True)
    assert visible(folder) == []


def test_the_length_of_an_encoded_answer_is_not_that_of_the_file(entry, folder, monkeypatch):
    headers = {"Content-Length": "17", "Content-Encoding": "gzip"}
    monkeypatch.setattr("requests.get", lambda *_, **__: Answer(headers))
    entry.pop("sha256")
    assert obtain(entry, download=True).read_bytes() == CONTENT[: len(CONTENT) // 2]


def test_who_waits_is_told_so_once_and_gives_up(entry, folder, server, monkeypatch, capfd):
    monkeypatch.setattr(fetch, "WAIT_S", 0.1)
    folder.mkdir()
    with open(folder / ".net.pth.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert f"another process has held {folder}/.net.pth.lock" in failure(entry, download=True)
    assert capfd.readouterr().err.splitlines() == [f"waiting for another process to fetch {folder}/net.pth"]
    assert server.asked == []


def test_a_folder_that_refuses_files_is_not_waited_for():
    """Linux's /proc answers that a new file's folder is not there, which locks take for somebody else's doing."""
    assert "/proc/self/net.pth cannot be written" in failure(
        {"file": "/proc/self/net.pth", "url": "http://127.0.0.1/net.pth"}, download=True
    )


NAMED = "import pathlib, vxbench.files; print(vxbench.files.temporary(pathlib.Path('net.pth')))"
WAITING = """
from vxbench.models.fetch import obtain
print("ready", flush=True)
obtain(eval(input()), download=True)
"""


@pytest.mark.slow
def test_processes_that_want_the_same_file_fetch_it_once(entry, folder, server):
    """Both ask while the server is slow. A partial file that a killed process left goes."""
    folder.mkdir()
    name = subprocess.run([sys.executable, "-c", NAMED], capture_output=True, text=True, check=True).stdout.strip()
    (folder / name).write_bytes(b"left over")
    server.fault = "late"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", WAITING], **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write(f"{entry!r}\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert server.asked == [OFFICIAL]
    assert visible(folder) == ["net.pth"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"sha256": "12345"}, "sha256 = 12345 is not 6 to 64 lower-case hex digits"),
        ({"sha256": "0123456G"}, "is not 6 to 64 lower-case hex digits"),
        ({"sha256": 12345678}, "sha256 = 12345678 is read as a number; put it in quotes"),
        ({"sha256": 123e45}, "is read as a number; put it in quotes"),
        ({"url": "ftp://host/net.pth"}, "url = ftp://host/net.pth is not an http(s) address"),
        ({"url": "file:///net.pth"}, "is not an http(s) address"),
        ({"url": "http://[::1/net.pth"}, "is not an http(s) address"),
        ({"sha265": "0123abcd"}, "unknown key sha265; did you mean sha256?"),
        ({"file": None}, "the key file is missing"),
    ],
)
def test_a_wrong_entry_is_refused(field, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Checkpoint.of({"file": "net.pth"} | field)
