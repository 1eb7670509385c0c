"""Composition of every config, and the one line that each mistake gets."""

import re
from importlib.util import find_spec

import pytest
from helpers.configs import composed
from omegaconf import OmegaConf

from vxbench.config import FORMER_METRICS, GROUPS, PLUGINS, build, check_choices, compose, conf_dir, options
from vxbench.errors import UserError
from vxbench.runner.multirun import cells

OF_TRAINING = ("recipe", "experiment")  # groups that train.yaml alone chooses from
EVERY_OPTION = [(group, name) for group in GROUPS if group not in OF_TRAINING for name in options(group)]


def weights(scale, model):
    """Class lists that a model has weights for."""
    return OmegaConf.to_container(composed(f"model={model}", f"scale={scale}").weights)


APPENDED = ("table", "sweep", "figure")  # groups that run.yaml does not choose from


def partner(group, name):
    """Overrides that make an option of a group and its counterpart a pair with weights."""
    if name == "custom":
        return ["model.network._target_=vxbench.Net", "model.num_classes=8"]
    if group == "model":
        return [f"dataset={next(iter(weights('mini', name)))}"]
    if group == "dataset":
        return [f"model={next(model for model in options('model') if name in weights('mini', model))}"]
    if group == "table":  # a table alone has the default model, which need not be one of its own
        choices = cells(f"+table={name}", ["explainer=random"])[0].hydra.runtime.choices
        return [f"model={choices.model}", f"dataset={choices.dataset}"]
    return []


@pytest.mark.parametrize(("group", "name"), EVERY_OPTION)
def test_every_option_composes_and_resolves(group, name):
    config = composed(f"+{group}={name}" if group in APPENDED else f"{group}={name}", *partner(group, name))
    assert OmegaConf.to_container(config, resolve=True, throw_on_missing=True)[group]


PAIRS = {  # of the 14 tables
    "r2plus1d": ["ucf101_24", "epic_object", "epic_action"],
    "tsm": ["ucf101_24"],
    "vgg16lstm": ["ucf101_24", "epic_object", "epic_action"],
    "r2plus1d_50": ["ucf101", "kinetics700"],
    "r3d": ["ucf101", "kinetics700"],
    "slowfast": ["kinetics400"],
    "timesformer": ["kinetics400"],
}


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("model", PAIRS)
def test_every_pair_of_the_tables_has_weights(model, scale):
    entries = weights(scale, model)
    assert set(PAIRS[model]) <= set(entries)
    assert all({"num_classes", "file"} <= set(entry) for entry in entries.values())


def named_in_defaults(path):
    """Files that the defaults of a config name, each in a folder above it."""
    for entry in OmegaConf.load(path).get("defaults", []):
        if isinstance(entry, str):
            name = f"{entry.split('@')[0]}.yaml"
            yield from (folder / name for folder in path.parents if (folder / name).is_file())


def test_every_file_in_conf_is_an_option_or_part_of_one():
    """So that the test above, and the primary configs, reach every file."""
    conf = conf_dir()
    primary = set(conf.glob("*.yaml"))
    chosen = {conf / group / f"{name}.yaml" for group in (*GROUPS, *PLUGINS, "scale") for name in options(group)}
    sizes = {
        conf / "model" / "size" / scale / f"{model}.yaml" for scale in options("scale") for model in options("model")
    }
    files = set(conf.rglob("*.yaml"))
    parts = {part for path in files for part in named_in_defaults(path)}
    assert sizes <= files
    assert files <= primary | chosen | sizes | parts


@pytest.mark.parametrize("key", options("figure"))
def test_every_figure_has_a_caption_and_a_module_that_draws_it(key):
    figure = OmegaConf.load(conf_dir() / "figure" / f"{key}.yaml").figure
    assert figure.key == key
    assert re.fullmatch(r"(F-EP|STEP|AOSA) Fig\. \d: [^\n]+\.", figure.caption)
    assert find_spec(f"vxbench.figures.{figure.get('draw', key)}")


def test_no_comment_of_a_key_in_conf_runs_on_into_the_next():
    keys = re.compile(r"^ *[\w {-]+: .*? # (.*)$", re.MULTILINE)
    found = {(path.name, words) for path in conf_dir().rglob("*.yaml") for words in keys.findall(path.read_text())}
    assert ("run.yaml", "cpu | cuda | cuda:1 ...") in found
    assert [pair for pair in found if pair[1].endswith((",", ";", ":"))] == []


def test_a_table_sets_what_its_paper_fixes_and_an_override_wins():
    rows = {
        model: composed("+table=fep_1", f"model={model}", "explainer=fep").explainer for model in ("r2plus1d", "tsm")
    }
    assert (rows["r2plus1d"].r_l, rows["r2plus1d"].r_h) == (0.5, 0.2)
    assert (rows["tsm"].r_l, rows["tsm"].r_h) == (0.5, 0.1)
    assert composed("+table=fep_1", "explainer=step", "profile=paper").explainer.step == 13
    assert composed("explainer=step", "profile=paper").explainer.step is None
    assert composed("+table=fep_1", "explainer=fep", "explainer.r_h=0.4").explainer.r_h == 0.4
    assert composed("+table=fep_1", "explainer=gradcam").explainer.weights == "global"
    assert composed("+table=fep_1", "explainer=gradcam", "model=tsm").explainer.weights == "per_step"


def test_an_override_leaves_no_trace_in_what_is_composed_next():
    table = ["+table=fep_1", "explainer=ep3d", "profile=paper"]
    compose([*table, "table.settings.step=null"])
    assert compose(table).explainer.step == 13


def test_profiles_choose_sizes_and_effort():
    mini, smoke, paper = (composed(f"profile={name}") for name in ("mini", "smoke", "paper"))
    assert mini.scale.name == smoke.scale.name == "mini"
    assert paper.scale.name == "paper"
    assert paper.explainer.iterations == 2000
    assert smoke.explainer.iterations < mini.explainer.iterations < 2000
    assert paper.profile.comparable
    assert not mini.profile.comparable
    assert paper.dataset.per_class * 24 == 120


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["explainer.r_l=0.9", "explainer.r_h=0.3"], ("r_l + r_h", "1.2", "[0, 1]")),
        (["explainer.r_l=-0.1"], ("explainer.r_l = -0.1", "[0, 1]")),
        (["explainer.areas=[0.1,2]"], ("explainer.areas = 2", "[0, 1]")),
        (["explainer.iterations=0"], ("explainer.iterations = 0", "[1, inf)")),
        (["explainer.step=0"], ("explainer.step = 0", "[1, inf)")),
        (["explainer.mode=keep"], ("explainer.mode = keep", "preserve, delete, dual")),
        (["explainer.lr=abc"], ("explainer.lr = abc", "(0, inf)")),
        (["explainer=smoothgrad", "explainer.samples=0"], ("explainer.samples = 0",)),
        (["explainer=gradcam", "explainer.weights=mean"], ("explainer.weights = mean", "per_step, global")),
    ],
)
def test_a_value_out_of_range_is_one_line_with_key_value_and_range(overrides, words):
    with pytest.raises(UserError) as caught:
        build(composed(*overrides), "explainer")
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("explainer=fepp", "fep"),
        ("model=r2plus1", "r2plus1d"),
        ("explainer=fep,grad_cam", "gradcam"),
        ("+table=fep1", "fep_1"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(override, nearest):
    with pytest.raises(UserError, match=rf"did you mean .*\b{nearest}\b"):
        check_choices([override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metric=fep", "metric=fep is called metric=dc_acc_stc"),
        ("metric=topk,step_ratio", "metric=step_ratio is called metric=preservation"),
        ("metric=choice(spt,sanity)", "metric=spt is called metric=spatial_pointing"),
        ("hydra.sweeper.params.metric='aosa,tpt'", "metric=aosa is called metric=deletion_insertion"),
    ],
)
def test_a_former_name_of_a_metric_is_one_line_with_its_own(override, message):
    with pytest.raises(UserError) as caught:
        check_choices([override])
    assert str(caught.value) == message


@pytest.mark.parametrize("folder", [["--config-dir", "/mine"], ["hydra.searchpath=[file:///mine]"]])
def test_a_folder_of_further_configs_may_have_any_option(folder):
    check_choices(["explainer=mine", *folder])


def test_no_former_name_of_a_metric_is_an_option_and_what_it_is_called_is_one():
    assert not set(FORMER_METRICS) & set(options("metric"))
    assert set(FORMER_METRICS.values()) <= set(options("metric"))


@pytest.mark.parametrize(
    "override",
    [
        "explainer=fep,step",
        "explainer=glob(a*)",
        "metric.time.batch=2",
        "explainer.r_l=0.4",
        "+table=fep_1",
        "tracker=none",
        "-m",
    ],
)
def test_known_names_pass(override):
    check_choices([override])


@pytest.mark.parametrize("target", ["os.system", "subprocess.run", "vxbench_evil.Thing", "builtins.eval"])
def test_a_target_outside_the_allow_list_is_refused(target):
    config = composed(f"explainer._target_={target}")
    with pytest.raises(UserError, match=r"explainer\._target_ = .* is not allowed"):
        build(config, "explainer")


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("vxbench.models.fetch.shutil.copyfile", "shutil.copyfile"),
        ("vxbench.errors.get_close_matches", "difflib.get_close_matches"),
        ("vxbench.explainers.Gradients.__class__", "builtins.type"),
    ],
)
def test_what_an_allowed_module_imported_is_not_allowed(target, origin):
    config = composed(f"explainer._target_={target}")
    with pytest.raises(UserError, match=re.escape(f"explainer._target_ = {target} ({origin}) is not allowed")):
        build(config, "explainer")


@pytest.mark.parametrize("target", ["vxbench.config", "vxbench.models.loading.IGNORED.count", "vxbench.no"])
def test_a_target_is_a_class_or_a_function(target):
    with pytest.raises(UserError) as caught:
        build(composed(f"explainer._target_={target}"), "explainer")
    assert "\n" not in str(caught.value)


def test_an_instance_of_an_allowed_class_is_no_target():
    config = composed("explainer._target_=vxbench.models.loading.FORMATS")
    with pytest.raises(UserError, match=r"FORMATS is neither a class nor a function"):
        build(config, "explainer")


MINE = "{file: mine.pth, class_order: train_csv}"


@pytest.mark.parametrize(
    ("overrides", "order"),
    [
        (["model=r3d", "profile=paper"], "train_csv"),
        (["model=r3d", "profile=paper", "model.checkpoint=mine.pth"], "label_map"),
        (["model=r3d", "profile=paper", "model.checkpoint=null"], "label_map"),
        (["model=r3d", "profile=paper", f"model.checkpoint={MINE}"], "train_csv"),
        (["model=r3d", "profile=paper", "model.checkpoint=mine.pth", "dataset.class_order=train_csv"], "train_csv"),
        (["model=r3d"], "label_map"),
        (["model=custom"], "label_map"),
        (["model=custom", f"model.checkpoint={MINE}"], "train_csv"),
        (["model=tsm"], "label_map"),  # which has no weights for these classes
    ],
)
def test_classes_are_numbered_as_the_checkpoint_in_use_numbers_them(overrides, order):
    assert composed("dataset=kinetics700", *overrides).dataset.class_order == order


def test_the_whole_frame_is_squashed_before_vgg16lstm_s_crop():
    size = composed("model=vgg16lstm", "profile=paper")
    assert (size.dataset.resize, size.dataset.full, size.dataset.short_side) == ("crop", [320, 240], None)
    assert composed("model=tsm", "profile=paper").dataset.full is None


def test_a_nested_target_is_refused_too():
    config = composed("+explainer.inner={_target_: os.getcwd}")
    with pytest.raises(UserError, match=r"explainer\.inner\._target_"):
        build(config, "explainer")


@pytest.mark.parametrize(
    ("key", "options_"),
    [("stc", ["dc_acc_stc"]), ("top1", ["topk"]), ("insertion", ["deletion_insertion"])],
)
def test_a_value_of_a_metric_names_the_options_that_give_it(key, options_):
    with pytest.raises(UserError) as caught:
        check_choices([f"metric={key}"])
    said = str(caught.value)
    assert said.startswith(f"metric={key} is a value that others give: ")
    assert all(f"metric={option}" in said for option in options_)
    assert "spatial_pointing" not in said
