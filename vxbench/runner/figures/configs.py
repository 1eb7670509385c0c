"""Configs of figures: one of the figure itself, and one for each model, data set and explainer that it draws."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from vxbench.runner.config import conf_dir


def composed(key: str, overrides: list[str]) -> DictConfig:
    """The config of figure `key`: conf/run.yaml with conf/figure/<key>.yaml, then the overrides.

    Raises:
        HydraException: an override that fits nothing.
    """
    return _compose([f"+figure={key}", *overrides])


def variant(config: DictConfig, *overrides: str) -> DictConfig:
    """A config of `composed` with further overrides, such as explainer=fep; they come last and so win."""
    return _compose([*config.hydra.overrides.task, *overrides])


def _compose(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("run", overrides, return_hydra_config=True)
