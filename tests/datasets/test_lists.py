"""The files of a data set: found in any of their places, named when missing, read as text."""

import pytest

from vxbench.datasets.lists import Part, as_list, digest_of, distinct, find_all, read_lines
from vxbench.errors import UserError, first_line


def test_the_first_place_that_is_there_wins(tmp_path):
    (tmp_path / "b").touch()
    part = Part(["a", "b"], "somewhere")
    assert find_all("X", tmp_path, [part]) == [tmp_path / "b"]
    (tmp_path / "a").touch()
    assert find_all("X", tmp_path, [part]) == [tmp_path / "a"]


def test_one_error_names_what_is_missing_once_with_place_and_source_one_a_line(tmp_path):
    (tmp_path / "there").touch()
    parts = [Part([name, "other"], f"source of {name}") for name in ("a", "b", "a", "there")]
    with pytest.raises(UserError) as caught:
        find_all("X", tmp_path, parts)
    head = f"X is not complete, 2 of its parts missing below {tmp_path}"
    assert str(caught.value).splitlines() == [f"{head}:", "  a (source of a)", "  b (source of b)"]
    assert first_line(caught.value) == head


def test_of_many_that_are_missing_the_first_few_are_named_and_the_rest_counted(tmp_path):
    with pytest.raises(UserError) as caught:
        find_all("X", tmp_path, [Part([f"part{i}"], "somewhere") for i in range(904)])
    lines = str(caught.value).splitlines()
    assert "904 of its parts" in lines[0]
    assert lines[1:] == [*(f"  part{i} (somewhere)" for i in range(5)), "  and 899 more"]


@pytest.mark.parametrize("content", [b"one\ntwo", b"one\r\ntwo\r\n", b"\xef\xbb\xbfone\ntwo\n"])
def test_lines_are_the_same_with_any_line_end_and_mark(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    assert read_lines(tmp_path / "list.txt") == ["one", "two"]


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"\xff\xfe\x00"), lambda path: path.mkdir()])
def test_what_is_no_text_is_named(tmp_path, make):
    make(tmp_path / "list.txt")
    with pytest.raises(UserError, match=r"list\.txt cannot be read as text"):
        read_lines(tmp_path / "list.txt")


def test_the_digest_follows_every_file(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("same")
    before = digest_of(paths)
    assert len(before) == 16
    paths[1].write_text("other")
    assert digest_of(paths) != before


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} cannot be read: Is a directory"):
        digest_of([tmp_path])


@pytest.mark.parametrize(("folder", "kind"), [(False, "file"), (True, "folder")])
def test_a_folder_is_not_taken_for_a_file_nor_a_file_for_a_folder(tmp_path, folder, kind):
    part, (right, wrong) = Part(["a", "b"], "somewhere", folder), (("mkdir", "touch") if folder else ("touch", "mkdir"))
    getattr(tmp_path / "a", wrong)()
    with pytest.raises(UserError, match=f"  a, where there is no {kind} but something else .somewhere"):
        find_all("X", tmp_path, [part])
    getattr(tmp_path / "b", right)()
    assert find_all("X", tmp_path, [part]) == [tmp_path / "b"]


def test_names_of_a_file_are_distinct(tmp_path):
    assert distinct(["a", "b"], tmp_path) == ["a", "b"]
    with pytest.raises(UserError, match=f"{tmp_path}: b is there twice"):
        distinct(["a", "b", "b"], tmp_path)


def test_one_folder_may_be_given_as_text():
    assert as_list("ucf101/videos") == ["ucf101/videos"]
    assert as_list(("a", "b")) == ["a", "b"]
