"""Adds vxbench's networks to mmaction2's registry on import, so that configs can name them as a `type`.

Imported by vxbench.models.mmaction.registry, after mmaction2; nothing else need import it.
"""

from mmaction.registry import MODELS

from vxbench.models.networks import resnets  # noqa: F401
from vxbench.models.vgg16lstm import VGG16LSTM

MODELS.register_module(module=VGG16LSTM, force=True)
