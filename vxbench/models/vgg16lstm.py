"""Defines VGG16LSTM: VGG16 on every frame, a ReLU-LSTM over the frames' fc7, and the mean of its class probabilities.

Source: Bargal et al. 2018 (Excitation Backprop for RNNs), section 4.1; Li et al. 2021 (STEP), section 4.1.1.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.ranges import whole, within


class ReLULSTM(nn.Module):
    """An LSTM cell with ReLUs in place of tanh, so that cell and hidden state are never negative.

    c = f * c_prev + i * g and h = o * ReLU(c), with i, f, o sigmoid and g ReLU of one linear layer on [x, h_prev].
    The rows of fc_x (4 M, D) and fc_h (4 M, M) are i, f, o, g in that order.
    """

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.fc_x = nn.Linear(features, 4 * hidden)
        self.fc_h = nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The states (h, c), each (B, M), after the step that reads x (B, D)."""
        i, f, o, g = self.gates(x, h)
        c = f * c + i * g
        return o * c.relu(), c

    def gates(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gates i, f, o, g, each (B, M), of the step that reads x (B, D) in hidden state h."""
        i, f, o, g = (self.fc_x(x) + self.fc_h(h)).chunk(4, dim=1)
        return i.sigmoid(), f.sigmoid(), o.sigmoid(), g.relu()

    @property
    def cell_weights(self) -> tuple[Tensor, Tensor]:
        """The weights that make g from x, (M, D), and from h, (M, M)."""
        return self.fc_x.weight[-self.hidden :], self.fc_h.weight[-self.hidden :]


class VGG16LSTM(nn.Module):
    """A network from clips (B, 3, T, H, W) to class probabilities (B, K), the mean over frames of each step's softmax.

    channels, convs: width and number of 3x3 convolutions of each block. pools: what each block's max-pool divides the
    frame's sides by; None for 2.
    fc: width of fc6 and fc7. hidden: of the LSTM. size: pixels of a frame's side, or (height, width).
    dropout: after fc6, after fc7 and before fc8. detach: no gradient flows from a step to the ones before it,
    as released; the probabilities are the same.

    Layers go by their VGG names: conv1_1, relu1_1, ..., conv5_3, relu5_3, pool5, fc6, relu6, fc7, relu7, lstm, fc8.
    State dict: <conv or fc>.weight and .bias, lstm.fc_x.weight, lstm.fc_x.bias, lstm.fc_h.weight. A state dict of
    the STEP authors' model fits once its lstm1 is named lstm and its fc8_final fc8.

    Raises:
        OutOfRange: a width below 1, or dropout outside [0, 1].
        UserError: channels and convs differ in number; frames too small to be halved so often; in forward, clips
            of another size.
    """

    outputs = "probs"

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int] = (64, 128, 256, 512, 512),
        convs: Sequence[int] = (2, 2, 3, 3, 3),
        pools: Sequence[int] | None = None,
        fc: int = 4096,
        hidden: int = 256,
        size: int | Sequence[int] = 224,
        dropout: float = 0.5,
        detach: bool = True,
    ):
        super().__init__()
        size = (size, size) if isinstance(size, int) else size
        pools = [2] * len(channels) if pools is None and isinstance(channels, Sequence) else pools
        last, cells = _check(num_classes, channels, convs, pools, fc, hidden, size)
        self.size, self.detach = tuple(size), detach
        for name, layer in _blocks(channels, convs, pools).items():
            self.add_module(name, layer)
        self.cnn = tuple(self._modules)  # the blocks' layers, in the order they run
        self.fc6, self.relu6 = nn.Linear(last * cells, fc), nn.ReLU()
        self.fc7, self.relu7 = nn.Linear(fc, fc), nn.ReLU()
        self.lstm = ReLULSTM(fc, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(within("dropout", dropout, 0, 1))
        self._initialise()

    def forward(self, clip: Tensor) -> Tensor:
        """Class probabilities (B, K) of clips (B, 3, T, H, W)."""
        frames = clip.transpose(1, 2)
        features = self.frame_features(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        steps = [self.fc8(self.dropout(h)).softmax(dim=1) for h in self.hidden_states(features)]
        return torch.stack(steps).mean(dim=0)

    def frame_features(self, frames: Tensor) -> Tensor:
        """The output (N, fc) of fc7, not negative, for frames (N, 3, H, W)."""
        if frames.shape[-2:] != self.size:
            got = "x".join(map(str, frames.shape[-2:]))
            raise UserError(f"VGG16LSTM is built for frames of {self.size[0]}x{self.size[1]} and got {got}")
        x = frames.contiguous(memory_format=torch.channels_last)  # narrow layers are then up to twice as fast on a CPU
        for name in self.cnn:
            x = getattr(self, name)(x)
        x = self.dropout(self.relu6(self.fc6(x.flatten(1))))
        return self.dropout(self.relu7(self.fc7(x)))

    def hidden_states(self, features: Tensor) -> list[Tensor]:
        """The LSTM's h (B, hidden) after each step, from features (B, T, fc)."""
        h = c = features.new_zeros(len(features), self.lstm.hidden)
        states = []
        for x in features.unbind(dim=1):
            if self.detach:
                h, c = h.detach(), c.detach()
            h, c = self.lstm(x, h, c)
            states.append(h)
        return states

    def _initialise(self) -> None:
        """Opens the forget gate (Jozefowicz et al. 2015), so that training does not forget the first frames."""
        nn.init.ones_(self.lstm.fc_x.bias.data[self.lstm.hidden : 2 * self.lstm.hidden])
        for module in self.children():
            if isinstance(module, nn.Conv2d | nn.Linear) and module is not self.fc8:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)


def _blocks(channels: Sequence[int], convs: Sequence[int], pools: Sequence[int]) -> OrderedDict[str, nn.Module]:
    layers, width = OrderedDict(), 3
    for block, (wide, count, pool) in enumerate(zip(channels, convs, pools, strict=True), start=1):
        for i in range(1, count + 1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(width, wide, kernel_size=3, padding=1)
            layers[f"relu{block}_{i}"] = nn.ReLU()
            width = wide
        layers[f"pool{block}"] = nn.MaxPool2d(kernel_size=pool, stride=pool)
    return layers


def _check(num_classes, channels, convs, pools, fc, hidden, size) -> tuple[int, int]:
    """Checks the settings, and returns the channels and the cells of the last feature map."""
    for key, values, count in (
        ("channels", channels, None),
        ("convs", convs, None),
        ("pools", pools, None),
        ("size", size, 2),
    ):
        if not isinstance(values, Sequence) or len(values) != (count or len(values)):
            raise UserError(f"{key} = {values} is not a list of {'two numbers' if count else 'one number a block'}")
    if not len(channels) == len(convs) == len(pools) or not channels:
        lengths = f"channels names {len(channels)} blocks, convs {len(convs)} and pools {len(pools)}"
        raise UserError(f"{lengths}: one number each a block")
    for key, value in (("num_classes", num_classes), ("fc", fc), ("hidden", hidden)):
        whole(key, value, 1)
    for key, values in (("channels", channels), ("convs", convs), ("pools", pools), ("size", size)):
        for value in values:
            whole(key, value, 1)
    height, width = size
    for pool in pools:  # one after the other: each rounds down
        height, width = height // pool, width // pool
    if not height * width:
        raise UserError(f"size = {size[0]}x{size[1]} is too small for pools = {list(pools)}")
    return channels[-1], height * width
