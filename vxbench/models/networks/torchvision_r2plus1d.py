"""R(2+1)D as torchvision defines it (r2plus1d_18), after Tran et al. 2018."""

from typing import ClassVar

from mmaction.models.backbones.resnet3d import BasicBlock3d, ResNet3d
from mmaction.registry import MODELS

from vxbench.models.networks.factored import factored, mid_channels

STEM_CHANNELS = 45  # between the two steps of the stem; the paper's rule would give 83


class FactoredBasicBlock3d(BasicBlock3d):
    """BasicBlock3d with both 3x3x3 convolutions in two steps.

    The channels between the steps are reckoned once, from the block's input and output, so a block that widens has
    fewer in its second convolution than the paper's rule gives: 230, 460, 921 for 288, 576, 1152.
    """

    def __init__(self, inplanes: int, planes: int, **kwargs):
        super().__init__(inplanes, planes, **kwargs)
        between = mid_channels(inplanes, planes)
        for module in (self.conv1, self.conv2):
            module.conv = factored(module.conv, between)


@MODELS.register_module(force=True)
class TorchvisionResNet2Plus1d(ResNet3d):
    """ResNet3d of basic blocks whose convolutions, but for the shortcuts', are in two steps.

    With depth 18, conv1_kernel (3, 7, 7), strides (1, 2, 2, 2) in space and time and no pools it is torchvision's
    r2plus1d_18. mmaction2's ResNet2Plus1d is another network: a pool, other numbers of channels between the steps,
    shortcuts in two steps as well.
    State dict: ResNet3d's, with {conv_s, bn_s, conv_t} below every conv that is in two steps.
    """

    arch_settings: ClassVar = {
        depth: (FactoredBasicBlock3d, blocks)
        for depth, (block, blocks) in ResNet3d.arch_settings.items()
        if block is BasicBlock3d
    }

    def _make_stem_layer(self) -> None:
        super()._make_stem_layer()
        self.conv1.conv = factored(self.conv1.conv, STEM_CHANNELS)
