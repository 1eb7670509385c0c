"""Configs as the commands compose them, each composed once."""

from functools import lru_cache

from omegaconf import DictConfig

from vxbench.config import compose


def composed(*overrides: str, name: str = "run") -> DictConfig:
    """conf/<name>.yaml with these overrides; the caller's own copy."""
    return _composed(overrides, name).copy()


@lru_cache(maxsize=256)
def _composed(overrides: tuple[str, ...], name: str) -> DictConfig:
    return compose(list(overrides), name)
