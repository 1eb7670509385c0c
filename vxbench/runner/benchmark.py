"""Times the perturbation methods at the paper's size: seconds an iteration, and the share spent outside the network."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from vxbench.explainers.perturbation.loop import Step
from vxbench.runner.config import build, conf_dir
from vxbench.runner.provenance import hardware

WARM_UP = 1


def main(argv: list[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    facts = hardware(given.device)
    print(f"{facts['gpu'] or facts['cpu']}, {facts['threads']} threads, torch {torch.__version__}, batch {given.batch}")
    print(f"{'model':10} {'explainer':10} {'s/iteration':>12} {'network s':>10} {'outside':>8}")
    for model in given.models:
        for explainer in given.explainers:
            whole, network = measure(model, explainer, given.device, given.batch, given.iterations)
            share = 1 - network / whole
            print(f"{model:10} {explainer:10} {whole:12.4f} {network:10.4f} {share:8.1%}", flush=True)
    return 0


def measure(model: str, explainer: str, device: str, batch: int, iterations: int) -> tuple[float, float]:
    """(seconds an iteration takes, seconds of it in the network's forward and backward pass), medians.

    Full-size models with random weights: time does not depend on them. After every iteration the network is timed alone
    on the same clips, so that both medians see the same state of the machine.
    """
    overrides = [f"model={model}", f"explainer={explainer}", "profile=paper", "model.checkpoint=null"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("run", [*overrides, f"explainer.iterations={WARM_UP + iterations}", "profile.core_start=0"])
    classifier = build(config, "model").to(device).eval().requires_grad_(False)
    size = config.model.input
    clip = torch.randn(batch, 3, size.frames, size.height, size.width, device=device)
    target = torch.zeros(batch, dtype=torch.long, device=device)
    method = build(config, "explainer")
    whole, network = [], []
    began = now(device)

    def after_iteration(_: Step) -> None:
        nonlocal began
        whole.append(now(device) - began)
        network.append(timed(lambda: network_pass(classifier, clip, target), device))
        began = now(device)

    method.observer = after_iteration
    method(classifier, clip, target)
    return statistics.median(whole[WARM_UP:]), statistics.median(network[WARM_UP:])


def network_pass(classifier: nn.Module, clip: Tensor, target: Tensor) -> None:
    """One forward pass and one backward pass to the clip."""
    x = clip.clone().requires_grad_()
    with torch.enable_grad():
        torch.autograd.grad(classifier(x).gather(1, target[:, None]).sum(), x)


def timed(action: Callable[[], None], device: str) -> float:
    start = now(device)
    action()
    return now(device) - start


def now(device: str) -> float:
    """Seconds, after all work queued on the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["r2plus1d", "tsm"])
    parser.add_argument("--explainers", nargs="+", default=["ep3d", "step", "fep"])
    parser.add_argument("--batch", type=int, default=1, help="clips")
    parser.add_argument("--iterations", type=int, default=10, help="iterations timed, after one to warm up")
    return parser
