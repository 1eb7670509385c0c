"""Adds networks of our own to mmaction2's registry on import: what configs name as `backbone.type` or `network.type`.

Imported by vxbench.models.mmaction.registry, after mmaction2; nothing else need import it.
"""

from mmaction.registry import MODELS

from vxbench.models.networks import resnets  # noqa: F401
from vxbench.models.vgg16lstm import VGG16LSTM

MODELS.register_module(module=VGG16LSTM, force=True)
