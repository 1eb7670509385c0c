"""Times explainers, networks and the loading of clips."""

import sys
from importlib import import_module

from vxbench.commands.common import Parser, parser, run_command, understanding
from vxbench.errors import OutOfRange

PARTS = {
    "explainers": "Times the perturbation methods: seconds an iteration, and the share spent outside the network.",
    "models": "Times every model at its paper's size: logits, and logits with the gradient to the clip.",
    "loading": "Times the loading of clips: decoded and resized anew, and from the cache.",
}
EXAMPLES = {
    "explainers": "--models tsm --explainers fep step",
    "models": "--device cuda --precisions fp32 bf16",
    "loading": "--profile paper --workers 8",
}


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench benchmark`; its exit status."""
    words = sys.argv[1:] if argv is None else argv
    return run_command(lambda: _benchmark(words[:1], words[1:]))


def _benchmark(words: list[str], options: list[str]) -> None:
    part = _page().parse_args(words).part
    module = import_module(f"vxbench.costs.{part}")
    page = parser(f"benchmark {part}", PARTS[part], ("", EXAMPLES[part]))
    module.add_options(page)
    given = page.parse_args(options)
    with understanding(OutOfRange):
        module.run(given)


def _page() -> Parser:
    about = "\n".join([*PARTS.values(), "`vxbench benchmark <part> --help` lists the options of a part."])
    page = parser("benchmark", about, [f"{part} {words}" for part, words in EXAMPLES.items()])
    page.add_argument("part", choices=PARTS, help="what is timed")
    return page
