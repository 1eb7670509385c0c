"""Each data set is opened and every clip loaded; what is wrong is counted, named, and told by the exit status."""

import pickle
import re
import shutil

import pytest

from vxbench.commands.check_data import main

ONLY = ["--only", "ucf101_24", "--workers", "1"]


@pytest.fixture
def copy(mini_data, tmp_path):
    return shutil.copytree(mini_data, tmp_path / "mini")


def video(root, name):
    return root / f"ucf101/videos/{name.split('_')[1]}/{name}.avi"


def test_sound_data_pass(mini_data, capsys):
    assert main(["--root", str(mini_data), *ONLY]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ucf101_24 test: 16 clips listed, 16 found, 16 sound",
        "  all 16 clips of the published test list",
    ]


def test_only_the_clips_of_the_tables_are_checked_on_demand(mini_data, capsys):
    assert main(["--root", str(mini_data), *ONLY, "--profile", "smoke", "--tables"]) == 0
    assert "8 clips listed" in capsys.readouterr().out


def test_the_digest_is_that_of_the_files_content(copy, capsys, tmp_path):
    def digest(root) -> str:
        main(["--root", str(root), *ONLY, "--digest"])
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  digest")]
        return line

    first = digest(copy)
    assert re.fullmatch(r"  digest: [0-9a-f]{16} of 16 clips", first)
    assert digest(shutil.copytree(copy, tmp_path / "moved", copy_function=shutil.copyfile)) == first  # other times
    east, west = (video(copy, f"v_ClockwiseFrom{name}_g01_c01") for name in ("East", "West"))
    content = east.read_bytes()
    east.write_bytes(west.read_bytes())
    west.write_bytes(content)
    assert digest(copy) != first
    west.unlink()
    assert digest(copy).endswith(" of 15 clips")


def test_each_problem_is_counted_and_named(copy, capsys):
    video(copy, "v_ClockwiseFromWest_g01_c01").unlink()
    video(copy, "v_ClockwiseFromEast_g01_c01").write_bytes(b"")
    with (copy / "ucf101_24/splits/testlist01.txt").open("a") as file:
        file.write("ClockwiseFromWest/v_ClockwiseFromWest_g09_c01\n")
    other = video(copy, "v_ClockwiseFromWest_g09_c01")
    shutil.copy(video(copy, "v_ClockwiseFromWest_g02_c01"), other)
    assert main(["--root", str(copy), *ONLY]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "ucf101_24 test: 17 clips listed, 16 found, 14 sound, 1 missing, 1 unannotated, 1 undecodable"
    assert any(line.startswith("  missing: ") and "v_ClockwiseFromWest_g01_c01" in line for line in rest)
    assert any(line.startswith("  unannotated: ") and "v_ClockwiseFromWest_g09_c01" in line for line in rest)
    east = "ClockwiseFromEast/v_ClockwiseFromEast_g01_c01: v_ClockwiseFromEast_g01_c01.avi: "
    assert any(line.startswith(f"  undecodable: {east}") for line in rest)
    assert not any(line.count("ClockwiseFromWest/v_ClockwiseFromWest_g09_c01") > 1 for line in rest)
    assert any(line.startswith("  to get: UCF101 from www.crcv.ucf.edu") for line in rest)


def test_a_clip_without_a_box_in_its_sampled_frames_is_unannotated(copy, capsys):
    path = copy / "ucf101_24/annotations/pyannot.pkl"
    entries = pickle.loads(path.read_bytes())
    clip = "ClockwiseFromWest/v_ClockwiseFromWest_g01_c01"
    for tube in entries[clip]["annotations"]:
        tube["sf"], tube["ef"] = tube["sf"] + 10_000, tube["ef"] + 10_000
    path.write_bytes(pickle.dumps(entries))
    assert main(["--root", str(copy), *ONLY]) == 1
    first, _, *rest = capsys.readouterr().out.splitlines()
    assert first == "ucf101_24 test: 16 clips listed, 16 found, 15 sound, 1 unannotated"
    assert rest == [f"  unannotated: {clip}: no box in any of the sampled frames"]


def test_overrides_may_follow_the_names(mini_data, capsys):
    command = ["--root", str(mini_data), "--workers", "1", "--only", "ucf101_24"]
    assert main([*command, "dataset.per_class=1", "dataset.seed=3"]) == 0
    assert "8 clips, 1 of each of the 8 classes of the published test list, drawn by seed 3" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a b, (c)", 'it\'s "d"', "e\\f", "g\\'h", "[l]{m}=~n:o", "p\\"])
def test_a_root_may_have_any_name(tmp_path, name, capsys):
    """The data set that is not there is named by its place, as it was given."""
    assert main(["--root", str(tmp_path / name), *ONLY]) == 1
    assert f"missing below {tmp_path / name}:\n  ucf101/videos (" in capsys.readouterr().out


def test_data_sets_that_are_not_there_are_named_with_their_sources(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  ")]
    assert [line.split(":")[0] for line in lines] == [
        "epic_action",
        "epic_object",
        "kinetics400",
        "kinetics700",
        "ucf101",
        "ucf101_24",
    ]
    assert all("not usable" in line and "missing below " in line for line in lines)


@pytest.mark.parametrize(
    "words", [["--only", "ucf"], [*ONLY, "dataset.gapss=use"], ["--onyx"], ["--only", "dataset.seed=1"]]
)
def test_wrong_words_are_one_line(words, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_unknown_option_is_named(capsys):
    assert main([*ONLY, "--gaps"]) == 2
    said = capsys.readouterr().err
    assert said == "error: unrecognized arguments: --gaps; vxbench check-data --help says what there is\n"
