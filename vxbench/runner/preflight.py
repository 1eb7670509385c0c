"""What a table needs on disk, checked before its first cell: everything missing is said at once."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.runner.config import build, conf_dir
from vxbench.runner.weights import weights_file


def missing_files(key: str, profile: str, overrides: list[str]) -> list[str]:
    """One line for each data set and checkpoint that table `key` needs and that is not there."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        table = compose("run", [f"+table={key}", f"profile={profile}", *_plain(overrides)], return_hydra_config=True)
        models = str(table.hydra.sweeper.params.get("model", table.hydra.runtime.choices.model)).split(",")
        configs = {
            model: compose("run", [f"+table={key}", f"profile={profile}", f"model={model}", *_plain(overrides)])
            for model in models
        }
    problems = [
        problem for config in configs.values() for problem in (_dataset(config), _checkpoint(config)) if problem
    ]
    return list(dict.fromkeys(problems))


def _dataset(config: DictConfig) -> str:
    try:
        build(config, "dataset")
    except UserError as error:
        return str(error)
    return ""


def _checkpoint(config: DictConfig) -> str:
    try:
        weights_file(config)
    except UserError as error:
        return str(error)
    return ""


def _plain(overrides: list[str]) -> list[str]:
    """Overrides that a single composition takes: no sweeps, no Hydra settings, not the model."""
    return [o for o in overrides if not o.startswith(("hydra", "model=", "explainer=", "-")) and "," not in o]
