"""VGG16LSTM, which needs nothing of mmaction2, under its name in the registry."""

from mmaction.registry import MODELS

from vxbench.models.vgg16lstm import VGG16LSTM

MODELS.register_module(module=VGG16LSTM, force=True)
