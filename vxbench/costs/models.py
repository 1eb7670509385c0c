"""Times every model at its paper's size: logits, and logits with the gradient to the clip."""

import argparse
import re
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch

from vxbench.costs.network import assembled, forward_and_gradient, network, random_clips
from vxbench.costs.options import check_networks, every_model
from vxbench.device import machine, median_time, own_gpu
from vxbench.errors import UserError
from vxbench.files import check_writable, write_whole

PRECISIONS = ("fp32", "bf16")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu | cuda | cuda:1 ...")
    parser.add_argument("--models", nargs="+", default=every_model(), help="of conf/model")
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=PRECISIONS, help="bf16: autocast")
    parser.add_argument("--batch", type=int, default=1, help="clips")
    parser.add_argument("--repeats", type=int, default=3, help="runs to take the median of, after one to warm up")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write models_<device>.md there")


def run(given: argparse.Namespace) -> None:
    check_networks(given, "repeats")
    own_gpu(given.device)
    if given.write:
        path = given.write / f"models_{_slug(given.device)}.md"
        check_writable("--write", path)
    rows = []
    for model in given.models:
        for precision in given.precisions:
            rows.append(measure(model, precision, given.device, given.batch, given.repeats))
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if given.write:
        write_whole(path, report(rows, given).encode())
        print(f"wrote {path}")


@torch.no_grad()
def measure(model: str, precision: str, device: str, batch: int, repeats: int) -> dict:
    """One row: seconds a clip of the forward pass and of forward and backward pass to the clip, and peak memory.

    Raises:
        UserError: outputs or gradient are not finite.
    """
    parts = assembled(model, device)
    classifier = network(parts)
    clip, target = random_clips(parts, batch)
    cast = torch.autocast(device.split(":")[0], torch.bfloat16) if precision == "bf16" else nullcontext()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    with cast:
        forward = median_time(lambda: classifier(clip), device, repeats)
        both = median_time(lambda: forward_and_gradient(classifier, clip, target), device, repeats)
        outputs, gradient = forward_and_gradient(classifier, clip, target)
    if not (torch.isfinite(outputs).all() and torch.isfinite(gradient).all()):
        raise UserError(f"{model} in {precision}: outputs or gradient are not finite")
    peak = f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f}" if device.startswith("cuda") else "-"
    return {
        "model": model,
        "clip": "x".join(map(str, clip.shape[2:])),
        "precision": precision,
        "M parameters": f"{sum(p.numel() for p in classifier.parameters()) / 1e6:.1f}",
        "forward s": f"{forward / batch:.4f}",
        "forward + gradient s": f"{both / batch:.4f}",
        "peak GB": peak,
    }


def report(rows: list[dict], given: argparse.Namespace) -> str:
    """The rows as a page."""
    about = "Seconds a clip at the papers' sizes, random weights; median of the runs after one to warm up."
    facts = f"{machine(given.device)}; batch {given.batch}, {given.repeats} runs."
    table = pd.DataFrame(rows)
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).values.tolist()]
    return "\n".join([f"# Models on {machine(given.device)}", "", about, facts, "", *map(_line, lines), ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _slug(device: str) -> str:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
