"""R(2+1)D of the 3D-ResNets (Kataoka et al. 2020, arXiv:2004.04968)."""

from typing import ClassVar

from mmaction.models.backbones.resnet3d import Bottleneck3d
from mmaction.registry import MODELS

from vxbench.models.networks.factored import factored, mid_channels
from vxbench.models.networks.hara_r3d import HaraResNet3d


class FactoredBottleneck3d(Bottleneck3d):
    """Bottleneck3d (1x1x1, 3x3x3, 1x1x1) with its 3x3x3 convolution in two steps."""

    def __init__(self, inplanes: int, planes: int, **kwargs):
        super().__init__(inplanes, planes, **kwargs)
        self.conv2.conv = factored(self.conv2.conv, mid_channels(planes, planes))


@MODELS.register_module(force=True)
class HaraResNet2Plus1d(HaraResNet3d):
    """The 3D-ResNets' `resnet2p1d` of 50 layers and more: the stem stays one 3D convolution, unlike Tran et al.'s.

    Shallower ones are left out: the source's basic block does not run as published (the second step of its first
    convolution is given the block's input).
    State dict: ResNet3d's, with conv2.conv.{conv_s, bn_s, conv_t} for conv2.conv in every block.
    """

    arch_settings: ClassVar = {
        depth: (FactoredBottleneck3d, blocks)
        for depth, (block, blocks) in HaraResNet3d.arch_settings.items()
        if block is Bottleneck3d
    }
