"""Explains a video of the user's own."""

from omegaconf import DictConfig, open_dict

from vxbench.commands.common import Parser, add_overrides, parser, run_command
from vxbench.config import check_choices, compose, options
from vxbench.errors import NotUnderstood

ABOUT = """\
Explains what a network sees in a video of your own: writes to results/explained/ the map, the map over the video, and
the clip that it keeps and deletes. The keys of its own are video, start, length, fps, target and top."""
EXAMPLES = (
    "video=my.mp4",
    "video=my.mp4 model=tsm explainer=gradcam target=ClockwiseFromEast",
    "video=long.mkv start=62.5 length=4 explainer=aosa",
)


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench explain`; its exit status."""
    return run_command(lambda: _explain(_page().parse_intermixed_args(argv).overrides))


def _page() -> Parser:
    page = parser("explain", ABOUT, EXAMPLES)
    add_overrides(page, "explain", ("video", "target"))
    return page


def _explain(words: list[str]) -> None:
    config, choices = composed(words)
    from vxbench.own_video.explain import read_request, run

    run(*read_request(config, choices))


def composed(words: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config, and the group options chosen. Without `dataset=` the model is one of the classes it has weights for.

    Raises:
        NotUnderstood: no video, or an option that does not exist. HydraException: other words that make no config.
    """
    check_choices(words)
    if not any(word.startswith("video=") for word in words):
        raise NotUnderstood("no video; vxbench explain video=my.mp4")
    config = _compose(words)
    known = [labels for labels in config.weights if labels in options("dataset")]
    given = any(word.startswith("dataset=") for word in words)
    if known and not given and config.dataset.labels not in known:
        config = _compose([*words, f"dataset={known[0]}"])
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


def _compose(words: list[str]) -> DictConfig:
    return compose(words, "explain", with_hydra=True)
