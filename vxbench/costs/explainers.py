"""Times the perturbation methods at the paper's size: seconds an iteration, and the share spent outside the network."""

import argparse
import statistics

from vxbench.config import options
from vxbench.costs.network import assembled, forward_and_gradient, network, random_clips
from vxbench.costs.options import check_names, check_networks
from vxbench.device import machine, now, own_gpu, timed
from vxbench.errors import NotUnderstood
from vxbench.explainers.perturbation.loop import Iteration, PerturbationExplainer

WARM_UP = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu | cuda | cuda:1 ...")
    parser.add_argument("--models", nargs="+", default=["r2plus1d", "tsm"], help="of conf/model")
    parser.add_argument("--explainers", nargs="+", default=["ep3d", "step", "fep"], help="of conf/explainer")
    parser.add_argument("--batch", type=int, default=1, help="clips")
    parser.add_argument("--iterations", type=int, default=10, help="iterations timed, after one to warm up")


def run(given: argparse.Namespace) -> None:
    check_networks(given, "iterations")
    own_gpu(given.device)
    check_names("explainers", given.explainers, options("explainer"))
    for explainer in given.explainers:
        method = assembled(given.models[0], given.device, f"explainer={explainer}").explainer
        if not isinstance(method, PerturbationExplainer):
            raise NotUnderstood(
                f"--explainers {explainer} has no iterations to time; the perturbation methods have, as fep"
            )
    print(f"{machine(given.device)}, batch {given.batch}")
    print(f"{'model':10} {'explainer':10} {'s/iteration':>12} {'network s':>10} {'outside':>8}")
    for model in given.models:
        for explainer in given.explainers:
            whole, inside = measure(model, explainer, given.device, given.batch, given.iterations)
            print(f"{model:10} {explainer:10} {whole:12.4f} {inside:10.4f} {1 - inside / whole:8.1%}", flush=True)


def measure(model: str, explainer: str, device: str, batch: int, iterations: int) -> tuple[float, float]:
    """(seconds an iteration takes, seconds of it in the network's forward and backward pass), medians.

    After every iteration the network is timed alone on the same clips, so that both medians see the same state of the
    machine.
    """
    counted = [f"explainer.iterations={WARM_UP + iterations}", "profile.core_start=0"]
    parts = assembled(model, device, f"explainer={explainer}", *counted)
    classifier = network(parts)
    clip, target = random_clips(parts, batch)
    method = parts.explainer
    whole, inside = [], []
    began = now(device)

    def after_iteration(_: Iteration) -> None:
        nonlocal began
        whole.append(now(device) - began)
        inside.append(timed(lambda: forward_and_gradient(classifier, clip, target), device))
        began = now(device)

    method.observer = after_iteration
    method(classifier, clip, target)
    return statistics.median(whole[WARM_UP:]), statistics.median(inside[WARM_UP:])
