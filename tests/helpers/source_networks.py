"""The networks whose weights are converted, written plainly: their layers, names and numbers of channels.

torchvision's are r3d_18 and r2plus1d_18 (torchvision/models/video/resnet.py), the 3D-ResNets' are `resnet` and
`resnet2p1d` (kenshohara/3D-ResNets-PyTorch, from commit 7ab2428 on) of 16 frames. Numbers that the sources compute are
written out.
"""

import torch
from torch import nn

# (in, out) of a factored 3x3x3 convolution -> channels between its steps
BETWEEN = {
    (64, 64): 144,
    (64, 128): 230,
    (128, 128): 288,
    (128, 256): 460,
    (256, 256): 576,
    (256, 512): 921,
    (512, 512): 1152,
}
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)


def conv(inputs, outputs, kernel, stride=1, padding=0):
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)


def in_space(inputs, outputs, stride=1):
    return conv(inputs, outputs, (1, 3, 3), (1, stride, stride), (0, 1, 1))


def in_time(inputs, outputs, stride=1):
    return conv(inputs, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0))


def shortcut(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm3d(outputs))


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def forward(self, x):
        return torch.relu(self.body(x) + (x if self.downsample is None else self.downsample(x)))


class TorchvisionBlock(Residual):
    def __init__(self, inputs, outputs, stride, convolution):
        super().__init__()
        first, second = (
            convolution(inputs, outputs, inputs, outputs, stride),
            convolution(outputs, outputs, inputs, outputs, 1),
        )
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(outputs), nn.ReLU())
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(outputs))
        self.downsample = shortcut(inputs, outputs, stride)

    def body(self, x):
        return self.conv2(self.conv1(x))


def whole(inputs, outputs, _in, _out, stride):
    return conv(inputs, outputs, 3, stride, 1)


def two_steps(inputs, outputs, block_inputs, block_outputs, stride):
    between = BETWEEN[block_inputs, block_outputs]
    first = (in_space(inputs, between, stride), nn.BatchNorm3d(between), nn.ReLU())
    return nn.Sequential(*first, in_time(between, outputs, stride))


class TorchvisionVideoResNet(nn.Module):
    """18 layers, no pool after the stem, average pool, one linear layer."""

    def __init__(self, stem, convolution, classes):
        super().__init__()
        self.stem = stem
        inputs = 64
        for stage, width in enumerate(WIDTHS):
            first = TorchvisionBlock(inputs, width, 1 if stage == 0 else 2, convolution)
            blocks = nn.Sequential(first, TorchvisionBlock(width, width, 1, convolution))
            setattr(self, f"layer{stage + 1}", blocks)
            inputs = width
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(x.mean(dim=(2, 3, 4)))


def r3d_18(classes):
    stem = nn.Sequential(conv(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3)), nn.BatchNorm3d(64), nn.ReLU())
    return TorchvisionVideoResNet(stem, whole, classes)


def r2plus1d_18(classes):
    space = (conv(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3)), nn.BatchNorm3d(45), nn.ReLU())
    stem = nn.Sequential(*space, in_time(45, 64), nn.BatchNorm3d(64), nn.ReLU())
    return TorchvisionVideoResNet(stem, two_steps, classes)


class HaraBasicBlock(Residual):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride, 1), nn.BatchNorm3d(width)
        self.conv2, self.bn2 = conv(width, width, 3, 1, 1), nn.BatchNorm3d(width)
        self.downsample = shortcut(inputs, width, stride)

    def body(self, x):
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))


class HaraFactoredBasicBlock(Residual):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        first, second = BETWEEN[inputs, width], BETWEEN[width, width]
        self.conv1_s, self.bn1_s = in_space(inputs, first, stride), nn.BatchNorm3d(first)
        self.conv1_t, self.bn1_t = in_time(first, width, stride), nn.BatchNorm3d(width)
        self.conv2_s, self.bn2_s = in_space(width, second), nn.BatchNorm3d(second)
        self.conv2_t, self.bn2_t = in_time(second, width), nn.BatchNorm3d(width)
        self.downsample = shortcut(inputs, width, stride)

    def body(self, x):
        x = torch.relu(self.bn1_s(self.conv1_s(x)))
        x = torch.relu(self.bn1_t(self.conv1_t(x)))
        x = torch.relu(self.bn2_s(self.conv2_s(x)))
        return self.bn2_t(self.conv2_t(x))


class HaraBottleneck(Residual):
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm3d(width)
        self.add_middle(width, stride)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm3d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def add_middle(self, width, stride):
        self.conv2, self.bn2 = conv(width, width, 3, stride, 1), nn.BatchNorm3d(width)

    def middle(self, x):
        return self.bn2(self.conv2(x))

    def body(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(torch.relu(self.middle(x))))


class HaraFactoredBottleneck(HaraBottleneck):
    def add_middle(self, width, stride):
        between = BETWEEN[width, width]
        self.conv2_s, self.bn2_s = in_space(width, between, stride), nn.BatchNorm3d(between)
        self.conv2_t, self.bn2_t = in_time(between, width, stride), nn.BatchNorm3d(width)

    def middle(self, x):
        return self.bn2_t(self.conv2_t(torch.relu(self.bn2_s(self.conv2_s(x)))))


class HaraResNet(nn.Module):
    """Stem of 7x7x7 and a 3x3x3 max pool, four stages with shortcuts of type B, average pool, one linear layer."""

    def __init__(self, depth, block, classes):
        super().__init__()
        self.add_stem()
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        inputs = 64
        for stage, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            blocks = []
            for stride in strides:
                blocks.append(block(inputs, width, stride))
                inputs = width * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def add_stem(self):
        self.conv1, self.bn1 = conv(3, 64, 7, (1, 2, 2), 3), nn.BatchNorm3d(64)

    def stem(self, x):
        return torch.relu(self.bn1(self.conv1(x)))

    def forward(self, x):
        x = self.maxpool(self.stem(x))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3, 4)))


class HaraResNet2Plus1d(HaraResNet):
    """HaraResNet with its stem in two steps, 1x7x7 to 110 channels and 7x1x1, both with norm and ReLU."""

    def add_stem(self):
        self.conv1_s, self.bn1_s = conv(3, 110, (1, 7, 7), (1, 2, 2), (0, 3, 3)), nn.BatchNorm3d(110)
        self.conv1_t, self.bn1_t = conv(110, 64, (7, 1, 1), 1, (3, 0, 0)), nn.BatchNorm3d(64)

    def stem(self, x):
        x = torch.relu(self.bn1_s(self.conv1_s(x)))
        return torch.relu(self.bn1_t(self.conv1_t(x)))
