"""Looks at what a network gives and does on the first batch it sees, before any row is computed from it.

Explainers and metrics take it for granted that a network is a function of one clip, that it leaves the clip alone, and
that it gives finite logits, or probabilities where `outputs` says so. The look costs at most three passes of one batch:
the batch twice, and one of its clips alone.

How far passes may differ, as a share of the largest score, is told by eps, the machine epsilon of the lowest precision
that a module of the network computes in. Two passes over one batch run the same kernels, so they agree to the bit but
for the order of atomic sums on a GPU: 64 eps. A clip alone runs other kernels, which sum in another order, and every
layer hands the difference on: sqrt(eps), 3.5e-4 for float32. The papers' networks, at the mini sizes on a CPU, differ
by 0, and by 3e-7 at most.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.explainers.base import Passes
from vxbench.network import untouched

AGAIN = 64  # eps by which two passes may differ, if that is less than a clip alone may


def look_at(classifier: nn.Module, clip: Tensor, chunk: int) -> bool:
    """Checks the network on at most `chunk` clips of a batch (B, 3, T, H, W). Returns whether they told anything.

    Clips whose scores are not finite are no fault of the network among others that are: they get no map. A single one
    tells nothing, and the next batch should be looked at. A single clip is seen beside its negative.

    Raises:
        UserError: the network alters its clip, is random or keeps a state, mixes the clips of a batch, gives something
            other than finite floating-point rows (B, K), or other than `outputs` says. The message says what to set.
    """
    name, single = getattr(classifier, "key", type(classifier).__name__), len(clip[:chunk]) == 1
    clip = _seen(clip, chunk)
    with torch.no_grad(), untouched(classifier), _precisions(classifier) as eps:
        first = _scores(name, classifier, clip)
        finite = first.isfinite().all(dim=1)
        sound = finite.nonzero()[:, 0] if not single or finite[-1] else []
        if not len(sound):
            _check_finite(name, clip, single)
            return False
        alone_at_most = max(eps) ** 0.5
        again = _scores(name, classifier, clip)
        _check_again(name, _difference(first[sound], again[sound]), min(AGAIN * max(eps), alone_at_most))
        if chunk > 1:
            one = sound[len(sound) // 2, None]  # with neighbours on both sides, where there are three
            _check_alone(name, _difference(first[one], _scores(name, classifier, clip[one])), alone_at_most)
    _check_outputs(name, classifier, first[sound].double(), alone_at_most)
    return True


def passes(clips: int, chunk: int) -> Passes:
    """What a look at a batch of so many clips costs, at most."""
    return Passes(forward=2 * min(chunk, max(clips, 2)) + (chunk > 1))


def _seen(clip: Tensor, chunk: int) -> Tensor:
    """The clips that are looked at: no more at once than explainers ask for, and two where that may be."""
    clip = clip[:chunk]
    return torch.cat([-clip, clip]) if len(clip) == 1 < chunk else clip


def _scores(name: str, classifier: nn.Module, clip: Tensor) -> Tensor:
    """The network's scores (B, K) for the clips, which stay as they are whatever it does to its input.

    Raises:
        UserError: it alters its input, or gives no floating-point rows.
    """
    given = clip.clone()
    scores = classifier(given)
    if not torch.equal(given, clip):
        raise UserError(
            f"{name} alters the clip it is given, by up to {float((given - clip).abs().max()):.2g}: mend the network, "
            "which works in place on its input where it should on a copy"
        )
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        found = scores.dtype if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(f"{name} gives {found}, not floating-point scores: mend the network")
    if scores.ndim != 2 or len(scores) != len(clip):
        raise UserError(f"{name} gives scores {tuple(scores.shape)} of {len(clip)} clips, not (B, K): mend the network")
    return scores


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest difference between finite scores and another pass's, as a share of the largest score."""
    if not other.isfinite().all():
        return torch.inf
    one, other = one.double(), other.double()
    scale = float(torch.maximum(one.abs().max(), other.abs().max()))
    return float((one - other).abs().max()) / scale if scale else 0.0


def _check_finite(name: str, clip: Tensor, single: bool) -> None:
    if not single:
        raise UserError(
            f"{name} gives no finite scores for any of the first {len(clip)} clips: check model.checkpoint, "
            "model.input.mean and model.input.std"
        )


def _check_again(name: str, difference: float, at_most: float) -> None:
    if difference > at_most:
        raise UserError(
            f"{name} scores the same clips differently at a second pass, by {difference:.2g} of the largest score: "
            "mend the network, which is random or keeps a state in eval mode (as by a dropout that is always on)"
        )


def _check_alone(name: str, difference: float, at_most: float) -> None:
    if difference > at_most:
        raise UserError(
            f"{name} scores a clip differently alone than among others, by {difference:.2g} of the largest score: mend "
            "the network, which mixes the clips of a batch (as by the batch's statistics), or set runner.chunk=1"
        )


def _check_outputs(name: str, classifier: nn.Module, rows: Tensor, tolerance: float) -> None:
    """Checks that finite scores (B, K) are what `outputs` says, and that it is said of what look like probabilities."""
    sums = rows.sum(dim=1)
    shares = bool((rows >= 0).all() and ((sums - 1).abs() <= tolerance).all())
    if shares and not getattr(classifier, "outputs_said", hasattr(classifier, "outputs")):
        raise UserError(
            f"{name} gives scores of at least 0 that sum to 1 for every clip: set model.outputs=probs if they are "
            "probabilities, or model.outputs=logits to have a softmax taken of them"
        )
    if getattr(classifier, "outputs", "logits") == "probs" and not shares:
        raise UserError(
            f"{name} is said to give probabilities (model.outputs = probs), but its scores are {rows.min():.3g} or "
            f"more and sum to {sums.min():.3g} to {sums.max():.3g}: set model.outputs=logits, or mend the network"
        )


@contextmanager
def _precisions(classifier: nn.Module) -> Iterator[set[float]]:
    """Collects the machine epsilon of float32, of the weights, and of all that modules give while inside."""
    found = {torch.finfo(torch.float32).eps, *map(_eps, classifier.parameters())}
    hooked = [module for module in classifier.modules() if not isinstance(module, torch.jit.ScriptModule)]
    with ExitStack() as hooks:
        for module in hooked:
            hooks.callback(module.register_forward_hook(lambda module, inputs, output: found.add(_eps(output))).remove)
        yield found


def _eps(value: object) -> float:
    return torch.finfo(value.dtype).eps if isinstance(value, Tensor) and value.is_floating_point() else 0.0
