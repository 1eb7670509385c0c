"""Every explainer of conf/, built for a small clip, and the network it is for."""

from functools import cache

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from helpers.configs import composed
from helpers.toys import Everything, EverythingAttention, EverythingRNN
from vxbench.config import options

NAMES = options("explainer")
FEW = {"iterations": 2, "core_start": 0, "steps": 4, "samples": 4, "masks": 8}  # for those that have such a key
TOY = {
    "model": {"key": "toy", "cam_layer": "layer", "input": {"mean": [114, 115, 116], "std": [57, 58, 59]}},
    "table": {"settings": {"sigma": 5}},  # perturbation methods: a smaller kernel, for speed
}
# Explainers that mean something on a special kind of network only.
NETWORKS = {"eb_r": EverythingRNN, "eb_r_contrastive": EverythingRNN, "attention_rollout": EverythingAttention}
SETTINGS = {
    EverythingRNN: {"layer": "layer"},
    EverythingAttention: {"temporal": "time", "spatial": "layer", "grid": [5, 7]},
    Everything: {},
}

T, H, W = 8, 20, 28  # all different; the feature maps are 4 x 10 x 14
TARGET = torch.tensor([2, 0, 3])


def build(name: str, chunk: int = 64):
    return instantiate(_config_of(name, chunk).explainer)


@cache
def _config_of(name: str, chunk: int) -> DictConfig:
    config = composed(f"explainer={name}")
    OmegaConf.set_struct(config, False)
    config = OmegaConf.merge(config, TOY, {"runner": {"chunk": chunk}})
    for key in FEW.keys() & config.explainer.keys():
        config.explainer[key] = FEW[key]
    config.explainer.update(SETTINGS[NETWORKS.get(name, Everything)])
    return config
