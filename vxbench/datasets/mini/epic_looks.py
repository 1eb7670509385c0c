"""What the things of the mini EPIC-KITCHENS look like: a hand, and a target for each noun."""

import numpy as np

from vxbench.datasets.mini.appearance import Sprite, packed
from vxbench.datasets.mini.exact import draw
from vxbench.datasets.mini.stage import trimmed


def fist(colour: np.ndarray, half: int) -> Sprite:
    """A rounded square with a dark rim and three dark lines between the fingers."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    corner = x**4 + y**4
    lines = (abs(x) * 8 // half % 4 == 2) & (y < 0)
    dark = lines | (corner * 10 > 7 * half**4)
    return packed(np.where(dark[..., None], colour // 2, colour)), corner <= half**4


def noun_sprite(random, noun: str, half: int) -> Sprite:
    """The target: a shape, two colours and a texture that no other noun and no distractor has."""
    shape, one, two, texture = NOUNS[noun]
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    light = draw(random, 85, 100)
    colours = np.array(one) * light // 100, np.array(two) * light // 100
    return trimmed(packed(np.where(texture(x, y, half)[..., None], *colours)), shape(x, y, half))


def _disc(x, y, half):
    return x * x + y * y <= half * half


def _bar(x, y, half):
    return (abs(x) * 5 <= half * 2) & (abs(y) <= half)


def _diamond(x, y, half):
    return abs(x) + abs(y) <= half


def _square(x, y, half):
    return (abs(x) * 10 <= half * 9) & (abs(y) * 10 <= half * 9)


def _wedge(x, y, half):
    return 2 * abs(x) <= half - y


def _rings(x, y, half):
    return (x * x + y * y) * 4 // (half * half) % 2 == 1


def _stripes(x, y, half):
    return y // 5 % 2 == 0


def _checks(x, y, half):
    return (x // 6 + y // 6) % 2 == 0


def _core(x, y, half):
    return (x * x + y * y) * 4 > half * half


def _left(x, y, half):
    return x < 0


# noun -> shape, two colours, where the first of them is
NOUNS = {
    "apple": (_disc, (225, 30, 30), (150, 10, 20), _left),
    "carrot": (_bar, (250, 130, 10), (190, 80, 0), _stripes),
    "lemon": (_diamond, (250, 235, 40), (200, 180, 10), _left),
    "lettuce": (_square, (40, 190, 40), (15, 110, 20), _checks),
    "plate": (_disc, (255, 255, 255), (15, 15, 15), _core),
    "radish": (_wedge, (240, 40, 180), (255, 190, 235), _rings),
}
