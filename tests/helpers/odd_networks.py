"""Networks of a user's own that do what a network should not. In a module, so that configs can name them."""

import torch
from torch.nn import functional as F

from helpers.toys import GapFC

NAME = "helpers.odd_networks.Odd"
CALLS: list[int] = []  # clips of every forward pass of an Odd, in this process


class Odd(GapFC):
    """GapFC that does a deed, or nothing odd."""

    def __init__(self, num_classes, deed="nothing"):
        super().__init__(num_classes)
        self.deed = deed

    def forward(self, clip):
        CALLS.append(len(clip))
        return DEEDS[self.deed](super().forward, clip)


def in_half(forward, clip):
    with torch.autocast(clip.device.type, torch.bfloat16):
        return forward(clip)


def overflow(forward, clip):
    """Gives infinite scores where the first pixel is dark."""
    return forward(clip).masked_fill((clip[:, 0, 0, 0, 0] < -1)[:, None], torch.inf)


DEEDS = {
    "nothing": lambda forward, clip: forward(clip),
    "alters its clip": lambda forward, clip: forward(clip.sub_(0.1)),
    "is random": lambda forward, clip: F.dropout(forward(clip), 0.5),
    "mixes clips": lambda forward, clip: forward(clip - clip.mean(dim=0)),
    "gives probabilities": lambda forward, clip: forward(clip).softmax(dim=1),
    "computes in half": in_half,
    "overflows": overflow,
    "runs in half": lambda forward, clip: forward(clip.half()),
}


def overrides(deed: str, *more: str) -> tuple[str, ...]:
    """The words that make it the model of a run on UCF101-24's mini classes."""
    words = ("model=custom", f"model.network._target_={NAME}", "model.num_classes=8", "++allow=[helpers.odd_networks]")
    return (*words, f"+model.network.deed={deed}", *more)
