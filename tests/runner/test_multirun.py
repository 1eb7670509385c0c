"""Before a table's first cell: all that it lacks is said at once, and what may be fetched is."""

import hashlib

import pytest
from helpers.configs import composed
from helpers.file_server import serve

from vxbench.errors import UserError
from vxbench.models import fetch
from vxbench.models.checkpoints import WEIGHTS
from vxbench.runner.assemble import Assembled
from vxbench.runner.multirun import cells, combinations, finished, missing_files
from vxbench.runner.store import frame
from vxbench.runner.weights import weights_digest, weights_file

CONTENT = (WEIGHTS / "mini_tsm.safetensors").read_bytes()
ENTRY = "weights.ucf101_24"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "TIMEOUT_S", 5.0)
    with serve() as server:
        server.files["/zoo/net.safetensors"] = CONTENT
        yield server


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A machine without data and checkpoints."""
    monkeypatch.setenv("VXBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VXBENCH_CHECKPOINTS", str(tmp_path / "weights"))
    return tmp_path


def published(server, folder) -> list[str]:
    """Overrides of an entry that is published on server."""
    address, sha256 = f"{server.root}/zoo/net.safetensors", hashlib.sha256(CONTENT).hexdigest()
    entry = {"url": address, "sha256": f"'{sha256}'", "file": f"{folder}/weights/net.safetensors", "source": "the zoo"}
    return [f"++{ENTRY}.{key}={value}" for key, value in entry.items()]


def cells_of(key, profile, overrides):
    """The first cell of every model and data set of a table."""
    found = {}
    one_row = "++hydra.sweeper.params.explainer=random"
    for config in cells(f"+table={key}", [f"profile={profile}", one_row, *overrides]):
        found.setdefault((config.hydra.runtime.choices.model, config.dataset.labels), config)
    return list(found.values())


def lacking(key, profile, overrides):
    return missing_files([Assembled(config) for config in cells_of(key, profile, overrides)])


def test_a_table_sweeps_over_models_and_data_sets():
    sweep = ["hydra.sweeper.params.model='r2plus1d,tsm'", "+hydra.sweeper.params.dataset='ucf101_24,ucf101'"]
    found = [(c.model.key, c.dataset["_target_"].rpartition(".")[2]) for c in cells_of("fep_1", "paper", sweep)]
    assert found == [(model, data) for model in ("r2plus1d", "tsm") for data in ("UCF101_24", "UCF101")]


@pytest.mark.parametrize(
    ("overrides", "models"),
    [
        ([], ["r2plus1d", "tsm"]),
        (["model=tsm"], ["tsm"]),
        (["model=tsm,r2plus1d_34"], ["tsm", "r2plus1d_34"]),
        (["hydra.sweeper.params.model=tsm"], ["tsm"]),
        (["seed=1,2", "shard.index=range(0,3)", "shard.count=3", "hydra/launcher=joblib"], ["r2plus1d", "tsm"]),
        (["-m", "~tracker.project", "explainer=fep,rise"], ["r2plus1d", "tsm"]),
    ],
)
def test_the_cells_are_those_the_run_will_have(overrides, models):
    if "~tracker.project" in overrides:
        overrides = ["tracker=wandb", *overrides]
    assert [config.model.display for config in cells_of("fep_1", "mini", overrides)] == [
        composed(f"model={model}").model.display for model in models
    ]


@pytest.mark.slow
def test_a_glob_stands_for_the_options_it_matches():
    found = cells_of("fep_1", "mini", ["model=glob(r3*)", "explainer=glob(ep3d*)"])
    assert [config.model.key for config in found] == ["r3d"]
    assert found[0].explainer["_target_"] == composed("explainer=ep3d").explainer["_target_"]
    every = cells_of("fep_1", "mini", ["model=glob(*,exclude=r2plus1d_*)", "hydra.sweeper.params.explainer='glob(s*)'"])
    assert {config.model.key for config in every} >= {"r2plus1d", "tsm", "custom"}


def test_what_a_network_of_ones_own_lacks_is_asked_for(empty):
    lines = lacking("fep_1", "mini", ["model=glob(cust*)"])
    assert lines[-1] == (
        "give model.network._target_=<module.Class> model.num_classes=<number>; conf/model/custom.yaml says more"
    )


def test_combinations_are_those_of_hydras_own_sweeper():
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = ["model=a,b", "dataset='c,d'", "seed=range(0,3)", "model=e,f", "x={y:1,z:2}", "+t=1", "w=[1,2]"]
    [jobs] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    assert combinations(words, ("model", "dataset", "seed")) == jobs


def test_each_data_set_and_checkpoint_is_named_once(empty):
    sweep = ["+hydra.sweeper.params.dataset='ucf101_24,ucf101'"]
    lines = lacking("fep_1", "paper", sweep)
    assert len(lines) == len(set(lines))
    assert [line.splitlines()[0].split(" is not")[0] for line in lines[:2]] == ["UCF101-24", "UCF101"]
    assert sum("testlist01" in line for line in lines) >= 2
    for name in ("r2plus1d_18_ucf101_24", "tsm_r50_ucf101_24"):
        assert sum(f"{empty}/weights/{name}" in line for line in lines) == 1


def test_an_absent_checkpoint_is_named_with_address_folder_and_switch(empty, server):
    lines = lacking("fep_1", "paper", ["model=tsm", *published(server, empty)])
    assert lines[-1] == (
        f"checkpoint {empty}/weights/net.safetensors does not exist (the zoo); download=true fetches it; "
        f"put {server.root}/zoo/net.safetensors into {empty}/weights; "
        "model.checkpoint=null gives random weights"
    )
    assert server.asked == []


def test_checkpoints_are_fetched_before_the_first_cell(empty, server):
    lines = lacking("fep_1", "paper", ["model=tsm", *published(server, empty), "++download=true"])
    assert len(lines) == 1  # the data set's
    assert (empty / "weights" / "net.safetensors").read_bytes() == CONTENT


def test_a_mirror_folder_serves_without_the_network(empty, server, tmp_path):
    (tmp_path / "mirror" / "zoo").mkdir(parents=True)
    (tmp_path / "mirror" / "zoo" / "net.safetensors").write_bytes(CONTENT)
    config = composed("model=tsm", *published(server, empty), f"++paths.mirror={tmp_path}/mirror")
    assert weights_file(config) == empty / "weights" / "net.safetensors"
    assert weights_digest(config) == hashlib.sha256(CONTENT).hexdigest()[:16]
    assert server.asked == []


def test_overrides_that_cannot_be_composed_are_one_line(empty):
    with pytest.raises(UserError, match=r"fep_1: .*no_such_key") as caught:
        lacking("fep_1", "mini", ["no_such_key=1"])
    assert "\n" not in str(caught.value)


def test_a_file_of_the_users_own_is_not_looked_for_in_the_mirror(empty, tmp_path):
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    config = composed("model=tsm", f"model.checkpoint={empty}/else/mine.pth", f"++paths.mirror={tmp_path}")
    with pytest.raises(UserError, match=r"else/mine\.pth does not exist; model\.checkpoint=null gives random weights"):
        weights_file(config)


def test_a_checkpoint_for_another_number_of_classes_is_refused_in_words(empty):
    config = composed("model=tsm", "model.num_classes=700", f"++{ENTRY}.num_classes=400")
    with pytest.raises(UserError, match=r"holds 400 classes, but model\.num_classes = 700$"):
        weights_file(config)


@pytest.mark.parametrize("number", ["0", "many", "2.5"])
def test_a_number_of_classes_that_is_none_is_refused_before_the_checkpoint(number, empty):
    with pytest.raises(UserError, match=rf"^model\.num_classes = {number} is not a whole number"):
        weights_file(composed("model=tsm", f"model.num_classes={number}"))


def test_classes_without_weights_name_those_that_have(empty):
    for given in (["model.seed=0"], ["model.num_classes=11"], ["model.checkpoint=mine.pth"]):
        config = composed("model=tsm", "dataset.labels=ucf11", *given)
        with pytest.raises(UserError, match=r"tsm has no weights for the classes of ucf11 \(known: ucf101_24"):
            weights_file(config)


def test_null_is_random_weights(empty):
    assert weights_digest(composed("model=tsm", "model.checkpoint=null", "model.seed=7")) == "random-7"


@pytest.mark.parametrize("value", ["ture", "1.5", "null"])
def test_download_is_true_or_false(value):
    with pytest.raises(UserError, match=r"download = .* is not one of False, True"):
        weights_file(composed("model=tsm", f"++download={value}"))


@pytest.fixture
def done(monkeypatch, tmp_path, mini_data):
    """A cell with rows of all its clips."""
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    config = composed("explainer=centre", "metric=topk", "dataset.per_class=1", f"paths.results={tmp_path}")
    parts = Assembled(config, {"dataset": "ucf101_24", "explainer": "centre"})
    ok = {"label": 0, "target": 0, "status": "ok", "metric": "top1", "value": 1.0, "reason": "", "degenerate": False}
    parts.store.commit(frame([ok | {"clip": ref.id} for ref in parts.dataset.clips]))
    return parts


def test_cells_of_which_nothing_is_left_have_their_outcomes_at_once(done):
    [outcome] = finished([done])
    assert (outcome.status, outcome.cell, outcome.computed) == ("complete", done.cell.id, 0)
    assert outcome.clips == len(done.dataset.clips)


def test_a_cell_with_a_damaged_part_is_not_finished(done, capsys):
    [part] = done.store.folder.glob("part-*.parquet")
    part.write_bytes(b"no parquet")
    assert finished([done]) is None
    assert capsys.readouterr().err.count(part.name) == 2  # and as what it is set aside
