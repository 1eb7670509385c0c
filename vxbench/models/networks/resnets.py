"""Adds residual networks that mmaction2 lacks: the 3D-ResNets' R3D and R(2+1)D, torchvision's R(2+1)D, narrow TSM."""

from collections import OrderedDict
from math import prod
from typing import ClassVar

from mmaction.models.backbones.resnet import make_res_layer
from mmaction.models.backbones.resnet3d import BasicBlock3d, Bottleneck3d, ResNet3d
from mmaction.models.backbones.resnet_tsm import ResNetTSM
from mmaction.registry import MODELS
from mmcv.cnn import ConvModule
from torch import nn

STEM_CHANNELS = 45  # between the two steps of torchvision's R(2+1)D stem; the paper's rule would give 83


def factored(conv: nn.Conv3d, between: int | None = None) -> nn.Sequential:
    """A (2+1)D convolution in conv's place: one in space, batch norm, ReLU, and one in time.

    between: channels between the two steps; None for as many as keep the number of weights.
    Kernel, stride and padding are those of conv, split between the two; there are no biases. The layers are named
    conv_s, bn_s, relu, conv_t, as in mmaction2's Conv2plus1d, which fixes the number of channels between them.

    Source: Tran et al. 2018, section 3.5.
    """
    kernel, stride, padding = conv.kernel_size, conv.stride, conv.padding
    in_space = {"kernel_size": (1, *kernel[1:]), "stride": (1, *stride[1:]), "padding": (0, *padding[1:])}
    in_time = {"kernel_size": (kernel[0], 1, 1), "stride": (stride[0], 1, 1), "padding": (padding[0], 0, 0)}
    between = between or mid_channels(conv)
    layers = OrderedDict(
        conv_s=nn.Conv3d(conv.in_channels, between, bias=False, **in_space),
        bn_s=nn.BatchNorm3d(between),
        relu=nn.ReLU(inplace=True),
        conv_t=nn.Conv3d(between, conv.out_channels, bias=False, **in_time),
    )
    return nn.Sequential(layers)


def mid_channels(conv: nn.Conv3d) -> int:
    """The number of channels between the steps that gives a factored conv the whole one's weights, rounded down."""
    frames, *pixels = conv.kernel_size
    in_space, in_time = prod(pixels) * conv.in_channels, frames * conv.out_channels
    return in_space * in_time // (in_space + in_time)


@MODELS.register_module(force=True)
class HaraResNet3d(ResNet3d):
    """mmaction2's ResNet3d with the 3D-ResNets' stem, whose max pool spans three frames and halves their number.

    With conv1_kernel (7, 7, 7), inflate_style 3x3x3, strides (1, 2, 2, 2) in space and time and no second pool it is
    the 3D-ResNets' `resnet` of the same depth, with shortcuts of type B. State dict: ResNet3d's, key for key.
    """

    def _make_stem_layer(self) -> None:
        super()._make_stem_layer()
        self.maxpool = nn.MaxPool3d(kernel_size=3, stride=2, padding=1)


class FactoredBottleneck3d(Bottleneck3d):
    """Bottleneck3d (1x1x1, 3x3x3, 1x1x1) with its 3x3x3 convolution in two steps."""

    def __init__(self, inplanes: int, planes: int, **kwargs):
        super().__init__(inplanes, planes, **kwargs)
        self.conv2.conv = factored(self.conv2.conv)


class FactoredBasicBlock3d(BasicBlock3d):
    """BasicBlock3d with both 3x3x3 convolutions in two steps."""

    def __init__(self, inplanes: int, planes: int, **kwargs):
        super().__init__(inplanes, planes, **kwargs)
        for module in (self.conv1, self.conv2):
            module.conv = factored(module.conv)


FACTORED = {BasicBlock3d: FactoredBasicBlock3d, Bottleneck3d: FactoredBottleneck3d}


@MODELS.register_module(force=True)
class HaraResNet2Plus1d(HaraResNet3d):
    """HaraResNet3d with every convolution of more than one voxel in two steps, the stem's too: `resnet2p1d`.

    State dict: ResNet3d's, with {conv_s, bn_s, conv_t} below every conv that is in two steps.

    Source: the 3D-ResNets' resnet2p1d.py from commit 7ab2428 on, with which the published weights were trained.
    """

    arch_settings: ClassVar = {
        depth: (FACTORED[block], blocks) for depth, (block, blocks) in HaraResNet3d.arch_settings.items()
    }

    def _make_stem_layer(self) -> None:
        super()._make_stem_layer()
        self.conv1.conv = factored(self.conv1.conv)


class TorchvisionBasicBlock3d(BasicBlock3d):
    """BasicBlock3d with both 3x3x3 convolutions in two steps, which have equally many channels between them.

    Torchvision reckons them once, from the block's input and output, so a block that widens has fewer in its second
    convolution than the paper's rule gives: 230, 460, 921 for 288, 576, 1152.
    """

    def __init__(self, inplanes: int, planes: int, **kwargs):
        super().__init__(inplanes, planes, **kwargs)
        between = mid_channels(self.conv1.conv)
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
        depth: (TorchvisionBasicBlock3d, blocks)
        for depth, (block, blocks) in ResNet3d.arch_settings.items()
        if block is BasicBlock3d
    }

    def _make_stem_layer(self) -> None:
        super()._make_stem_layer()
        self.conv1.conv = factored(self.conv1.conv, STEM_CHANNELS)


@MODELS.register_module(force=True)
class NarrowResNetTSM(ResNetTSM):
    """ResNetTSM (Lin et al. 2019, TSM) whose stages have base_channels x (1, 2, 4, 8) channels.

    Nothing else differs: at base_channels = 64 it is ResNetTSM, key for key.
    """

    def __init__(self, depth: int, base_channels: int = 64, **kwargs):
        self.base_channels = base_channels
        super().__init__(depth, **kwargs)

    def init_structure(self):
        """Puts narrow layers in the place of the stock ones, then adds the shifts; called once those stand."""
        self.conv1 = self._stem(self.conv1)
        self.inplanes = self.base_channels
        for stage, name in enumerate(self.res_layers):
            setattr(self, name, self._stage(stage))
        self.feat_dim = self.inplanes
        super().init_structure()

    def _stem(self, stock: ConvModule) -> ConvModule:
        return ConvModule(
            self.in_channels,
            self.base_channels,
            kernel_size=stock.kernel_size,
            stride=stock.stride,
            padding=stock.padding,
            bias=False,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _stage(self, stage: int):
        planes = self.base_channels * 2**stage
        layer = make_res_layer(
            self.block,
            self.inplanes,
            planes,
            self.stage_blocks[stage],
            stride=self.strides[stage],
            dilation=self.dilations[stage],
            style=self.style,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            with_cp=self.with_cp,
        )
        self.inplanes = planes * self.block.expansion
        return layer
