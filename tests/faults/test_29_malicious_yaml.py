"""A config runs nothing: neither by a tag of YAML, nor by a `_target_`, nor by a `type` of mmaction2's."""

import pytest
from helpers.configs import composed

from vxbench.config import build
from vxbench.errors import UserError

pytestmark = pytest.mark.slow

MINI_TSM = ("model=tsm", "dataset=ucf101_24", "model.checkpoint=null")
RUNS = "{type: subprocess.check_output, _delete_: true, args: touch owned, shell: true}"


@pytest.fixture(autouse=True)
def nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("part", ["backbone", "cls_head", "backbone.norm_cfg", "data_preprocessor"])
def test_a_type_that_no_registry_has_is_not_imported(part):
    config = composed(*MINI_TSM, f"++model.overrides.{part}={RUNS}")
    with pytest.raises(UserError, match=r"cannot build this model: Failed to get subprocess\.check_output"):
        build(config, "model")


@pytest.mark.parametrize("kind", ["subprocess.check_output", "os.system", "shutil.rmtree", "mmengine.dump"])
def test_nor_is_one_in_place_of_a_network(kind):
    config = composed(*MINI_TSM, "model.config=null", "model.overrides=null", f"++model.network={{type: {kind}}}")
    with pytest.raises(UserError, match=rf"^model\.network\.type = {kind} is not in mmaction2's registry"):
        build(config, "model")


RANDOM = "# @package _global_\nexplainer:\n  _target_: vxbench.explainers.Random\n"
CALL = "{%s: subprocess.check_output, args: touch owned, shell: true}"
LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])
FILES = {
    "tag": ("_target_: !!python/object/apply:os.system [touch owned]", "line 1: could not determine a constructor"),
    "laughs": (LAUGHS, "more than 100000 values, with aliases"),
    "itself": ("a: &a [*a]", "more than 100000 values, with aliases"),
    "deep": (f"a: {'[' * 5000}{']' * 5000}", "too deep in one another"),
    "broken": ("a: [1, 2", "line 1: expected ',' or ']'"),
    "control": ("a: \x1b[31m", "unacceptable character"),
    "latin": ("a: \udce9", "not text in UTF-8"),
    "callback": (f"{RANDOM}hydra:\n  callbacks: {{evil: {CALL % '_target_'}}}", "not Hydra's own"),
    "elsewhere": (f"{RANDOM}evil: {{x: {CALL % '_target_'}}}\nhydra: {{callbacks: '${{evil}}'}}", "not Hydra's own"),
    "logging": (f"{RANDOM}hydra:\n  job_logging: {{handlers: {{evil: {CALL % '()'}}}}}", "not Hydra's own"),
    "handler": (f"{RANDOM}hydra:\n  job_logging: {{handlers: {{evil: {CALL % 'class'}}}}}", "not Hydra's own"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_further_folder_is_refused_in_one_line(name, tmp_path, runner):
    content, said = FILES[name]
    path = tmp_path / "mine" / "explainer" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    done = runner.here("--config-dir", str(tmp_path / "mine"), f"explainer={name}", "model=tsm", "metric=topk")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_sound_file_of_a_further_folder_is_run(tmp_path, runner):
    path = tmp_path / "mine" / "explainer" / "sound.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(RANDOM)
    words = ("explainer=sound", "model=tsm", "model.checkpoint=null", "dataset.per_class=1", "metric=topk")
    assert runner.here("--config-dir", str(tmp_path / "mine"), *words).returncode == 0
