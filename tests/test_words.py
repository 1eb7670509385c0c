"""Words of a command line: names of files are read as they stand, and a misspelt key gets the nearest one."""

import pytest
from helpers.configs import composed

from vxbench.commands import main
from vxbench.config import check_choices, compose
from vxbench.errors import NotUnderstood
from vxbench.words import mended, quoted

NAMES = (
    "epoch=3.safetensors",
    "a,b.pth",
    "[1].mp4",
    "x (copy) [2], final=yes.pth",
    "it's.pth",
    'say "so".pth',
    "{a}.pth",
    "a\\b.pth",
    "${HOME}.pth",
    "12:30:05.mp4",
    "#1 50%.pth",
    " leading.pth",
    "ünï.pth",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_there_is_named_as_it_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert compose([mended(f"model.checkpoint={name}")]).model.checkpoint == name
    assert compose([mended(f"paths.results={name}")]).paths.results == name


@pytest.mark.parametrize("name", [name for name in NAMES if "$" not in name and "\\" not in name])
def test_so_is_a_folder_that_is_still_to_be_made(name):
    assert compose([mended(f"paths.results={name}")]).paths.results == name


@pytest.mark.parametrize("name", NAMES)
def test_text_in_quotes_is_the_text(name):
    assert compose([f"paths.data={quoted(name)}"]).paths.data == name


@pytest.mark.parametrize(
    "word",
    [
        "explainer=fep,step",
        "areas=[0.1,0.2]",
        "model.checkpoint={file: mine.pth, format: torchvision}",
        "model.checkpoint=null",
        "paths.cache=null",
        "paths.data='a, b'",
        "paths.data=${oc.env:HOME}",
        "runner.batch_size=8",
        "~metric",
        "download=true",
        "explainer.r_l=range(0,1,0.1)",
    ],
)
def test_what_is_no_file_is_left_to_hydra(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("8", "true"):
        (tmp_path / name).touch()
    assert mended(word) == word


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("explainr=step", "the config has no explainr; did you mean explainer"),
        ("+explainr=step", "the config has no explainr; did you mean explainer"),
        ("+tabel=fep_1", "the config has no tabel; did you mean table"),
        ("~metrc", "the config has no metrc; did you mean metric"),
        ("paths.resluts=x", "paths has no resluts; did you mean results"),
        ("+runner.wrkers=2", "runner has no wrkers; did you mean workers"),
    ],
)
def test_a_key_that_nobody_reads_is_refused_before_it_is_composed(word, near):
    with pytest.raises(NotUnderstood) as caught:
        check_choices([word])
    assert near in str(caught.value)
    assert "+explainr" not in str(caught.value).removeprefix(word)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("explainer.rl=0.3", "explainer has no rl; did you mean r_l"),
        ("model.inptu.frames=8", "model has no inptu; did you mean input"),
        ("model/siz=mini", "did you mean model/size"),
        ("metric.stcc.tau=3", "metric has no stcc; did you mean stc"),
        ("model.overrides.neck=1", "+model.overrides.neck=1 adds it"),
    ],
)
def test_a_misspelt_key_gets_the_nearest_and_no_plus(word, near):
    with pytest.raises(NotUnderstood) as caught:
        composed(word)
    assert near in str(caught.value)
    assert ("+" in str(caught.value)) == (" adds it" in near)


@pytest.mark.parametrize(
    "words",
    [
        "run explainer=gradcam,step",
        "run explainer.r_l=0.1,0.2",
        "train model=tsm,r3d",
        "explain video=x explainer=osa,rise",
    ],
)
def test_several_values_without_m_say_so(words, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has several values: -m runs each" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reproduce --tabel 1", "unrecognized arguments: --tabel; did you mean --table?"),
        ("run --mutlirun", "unrecognized arguments: --mutlirun; did you mean --multirun?"),
        ("check-data --porfile=paper", "unrecognized arguments: --porfile; did you mean --profile?"),
        ("figure --tabel 1", "unrecognized arguments: --tabel; vxbench figure --help"),
    ],
)
def test_a_misspelt_option_is_named_and_not_its_value(words, said, capsys):
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err
