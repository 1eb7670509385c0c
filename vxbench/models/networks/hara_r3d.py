"""The 3D ResNets of Hara, Kataoka and Satoh (CVPR 2018), whose code is kenshohara/3D-ResNets-PyTorch."""

from mmaction.models.backbones.resnet3d import ResNet3d
from mmaction.registry import MODELS
from torch import nn


@MODELS.register_module(force=True)
class HaraResNet3d(ResNet3d):
    """mmaction2's ResNet3d with the 3D-ResNets' stem, whose max pool spans three frames and halves their number.

    With conv1_kernel (7, 7, 7), inflate_style 3x3x3, strides (1, 2, 2, 2) in space and time and no second pool it is
    the 3D-ResNets' `resnet` of the same depth, with shortcuts of type B. State dict: ResNet3d's, key for key.
    """

    def _make_stem_layer(self) -> None:
        super()._make_stem_layer()
        self.maxpool = nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
