"""Every command has a page of help, the exit statuses of README.md, and one line for whatever is wrong."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
from helpers.paths import ROOT

from vxbench import __version__
from vxbench.commands import NAMES, main
from vxbench.commands.common import STATUSES

TOOLS = {"soak"}  # scripts for work on vxbench itself
SCRIPTS = {path.stem.replace("_", "-") for path in (ROOT / "scripts").glob("*.py")} - TOOLS
OVERRIDDEN = ("run", "reproduce", "plan", "explain", "train", "check-data", "checkpoints", "figure", "select-fep")
LIGHT = "import sys; from vxbench.commands import main; status = main({words}); assert 'torch' not in sys.modules"


def one_line(capsys) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    return err


def light(*words: str) -> subprocess.CompletedProcess:
    """A command in a process of its own, which fails if torch was imported."""
    command = [sys.executable, "-c", LIGHT.format(words=list(words))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """An empty folder, and data and weights that are not there."""
    for name in ("DATA", "MINI_DATA", "CHECKPOINTS"):
        monkeypatch.setenv(f"VXBENCH_{name}", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_has_its_script_and_its_module():
    assert set(NAMES) == SCRIPTS
    for name in NAMES:
        assert import_module(f"vxbench.commands.{name.replace('-', '_')}").__doc__


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_vxbench_alone_lists_its_commands(words, capsys):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(re.search(rf"^  {name} +\w", out, re.MULTILINE) for name in NAMES)
    assert "exit status:" in out


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vxbench {__version__}\n"


@pytest.mark.parametrize(("given", "near"), [("reproduec", "reproduce"), ("check_data", "check-data"), ("--hlep", "")])
def test_an_unknown_command_is_one_line_with_the_nearest(given, near, capsys):
    assert main([given]) == 2
    said = one_line(capsys)
    assert f"no command {given}" in said
    assert near in said


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_page_of_help(name, capsys):
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: vxbench {name} ")
    assert re.search(rf"^examples:\n  vxbench {name}", out, re.MULTILINE)
    assert re.search(r"^exit status:\n  0  .+\n  1  .+\n  2  .+\n  130  .+\n  143  ", out, re.MULTILINE)
    if name in OVERRIDDEN:
        assert "key=value" in out
        assert "conf/" in out


@pytest.mark.slow
def test_pages_of_help_need_no_torch():
    for words in [["--help"], *([name, "--help"] for name in NAMES)]:
        done = light(*words)
        assert done.returncode == 0, (words, done.stderr)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_one_line(name, capsys):
    part = ["models"] if name == "benchmark" else []
    assert main([name, *part, "--no-such-option"]) == 2
    assert "--no-such-option" in one_line(capsys)


@pytest.mark.parametrize("name", OVERRIDDEN)
@pytest.mark.parametrize("word", ["no_such_key=1", "dataset=ucf102", "profile=nimi"])
def test_an_unknown_key_or_choice_is_one_line(name, word, capsys, nowhere):
    words = {"explain": ["video=a.mp4"], "figure": ["fep_2"], "reproduce": ["--table=1"], "plan": ["--table=1"]}
    assert main([name, *words.get(name, []), word]) == 2
    assert word.split("=")[0] in one_line(capsys)


@pytest.mark.parametrize(
    "words",
    [
        "reproduce --table 9",
        "reproduce --table 1 --paper lime",
        "reproduce --table one",
        "reproduce --table 1 --jobs -2",
        "reproduce --profile nimi",
        "reproduce fep_1",
        "plan --table 3 --paper fep",
        "explain model=tsm",
        "checkpoints download=ture",
        "check-data --only ucf",
        "figure fep_9",
        "benchmark",
        "benchmark speed",
        "make-mini --only ucf102",
        "make-mini --seed -1",
        "report --clips -1",
        "reference --profile nimi",
        "run -m --cfg job",
        "run --resolve",
        "select-fep seed=0,1",
        "select-fep dataset.split=test",
    ],
)
def test_what_is_not_understood_is_2(words, capsys, nowhere):
    assert main(words.split()) == 2
    one_line(capsys)
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reproduce --table 1 --paper fep", "ucf101/videos ("),
        ("reproduce --table 1 --paper fep --bands no.yaml", "no.yaml is not there"),
        ("explain video=absent.mp4", "no file absent.mp4"),
        ("train paths.results=. paths.data=nothing", "ucf101/videos ("),
        ("figure fep_5", "run the sweep first"),
        ("make-mini --root ..", "is the current folder or holds it"),
        ("report", "no table was made here"),
        ("reference", "results lacks "),
        ("benchmark models --device cuda:99", "device = cuda:99"),
    ],
)
def test_what_is_missing_is_1(words, said, capsys, nowhere):
    assert main(words.split()) == 1
    lines = capsys.readouterr().err.splitlines()
    error, *listed = [line for line in lines if not line.startswith("note: ")]
    assert error.startswith("error: ")
    assert said in "\n".join([error, *listed])
    assert all(line.startswith("  ") for line in listed)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["plan --table 1 --paper fep --no-timing", "checkpoints model=tsm", "check-data"])
def test_what_lists_the_missing_is_1(words, capsys, nowhere):
    assert main(words.split()) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert str(nowhere / "nothing") in out


@pytest.mark.parametrize("words", [["run"], ["train"], ["select-fep", "model=tsm"]])
def test_hydra_prints_the_config(words, capfd):
    assert main([*words, "seed=7", "--cfg", "job", "-p", "seed"]) == 0
    assert "7" in capfd.readouterr().out


def test_hydras_options_may_stand_between_overrides(capfd):
    assert main(["run", "explainer=rise", "--cfg", "job", "-p", "explainer._target_", "seed=1"]) == 0
    assert "RISE" in capfd.readouterr().out


def test_a_traceback_is_shown_on_demand(monkeypatch, nowhere):
    from vxbench.errors import UserError

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError, match="no table was made here"):
        main(["report"])


def test_readme_has_the_exit_statuses():
    table = re.findall(r"^\| ([\d, ]+) \| .+ \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert ", ".join(table).split(", ") == ["0", "1", "2", "130", "143"]
    assert re.findall(r"^  (\d+)  ", STATUSES, re.MULTILINE) == ["0", "1", "2", "130", "143"]


@pytest.mark.parametrize("door", [["-m", "vxbench", "plan"], [str(ROOT / "scripts" / "plan.py")]])
def test_every_door_leads_to_the_same(door):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *door, "--bogus"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == "error: unrecognized arguments: --bogus; vxbench plan --help says what there is\n"
