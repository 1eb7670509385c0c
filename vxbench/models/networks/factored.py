"""A 3D convolution in two steps, (2+1)D: in space, then in time (Tran et al. 2018, section 3.5)."""

from collections import OrderedDict

from torch import nn


def factored(conv: nn.Conv3d, mid_channels: int) -> nn.Sequential:
    """A convolution in space to mid_channels, batch norm, ReLU, and one in time: takes conv's place.

    Kernel, stride and padding are those of conv, split between the two; there are no biases. The layers are named
    conv_s, bn_s, relu, conv_t, as in mmaction2's Conv2plus1d, which fixes the number of channels between them.
    """
    kernel, stride, padding = conv.kernel_size, conv.stride, conv.padding
    in_space = {"kernel_size": (1, *kernel[1:]), "stride": (1, *stride[1:]), "padding": (0, *padding[1:])}
    in_time = {"kernel_size": (kernel[0], 1, 1), "stride": (stride[0], 1, 1), "padding": (padding[0], 0, 0)}
    layers = OrderedDict(
        conv_s=nn.Conv3d(conv.in_channels, mid_channels, bias=False, **in_space),
        bn_s=nn.BatchNorm3d(mid_channels),
        relu=nn.ReLU(inplace=True),
        conv_t=nn.Conv3d(mid_channels, conv.out_channels, bias=False, **in_time),
    )
    return nn.Sequential(layers)


def mid_channels(inplanes: int, planes: int) -> int:
    """As many channels as give a factored 3x3x3 convolution the parameters of the whole one, rounded down."""
    return 27 * inplanes * planes // (9 * inplanes + 3 * planes)
