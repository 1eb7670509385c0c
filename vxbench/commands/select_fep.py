"""Chooses F-EP's r_l and r_h for a network and a data set, on clips that no table is made of."""

from vxbench.commands.common import KEPT, composable, hydra_parser, hydra_words, run_command, understanding
from vxbench.commands.run import run
from vxbench.config import check_choices
from vxbench.errors import OutOfRange

ABOUT = """\
Explains training clips with F-EP under every pair of r_l and r_h, and writes the best pair for each network and data
set to results/selected/fep.yaml, which `vxbench reproduce --bands` gives to the tables. This is
`vxbench run +sweep=fep_select`, refused at once where no choice could be made."""
EXAMPLES = (
    "model=tsm",
    "model=r2plus1d,tsm dataset=ucf101_24 hydra/launcher=joblib",
    "explainer.r_l=0.3,0.5 explainer.r_h=0.0,0.1 select.criterion=dc",
)


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench select-fep`; its exit status."""
    return run_command(lambda: _select(hydra_words(hydra_parser("select-fep", ABOUT, EXAMPLES, "run"), argv)), KEPT)


def _select(words: list[str]) -> int:
    from vxbench.sweeps.selection import SWEEP, check

    check_choices(words)
    with understanding(OutOfRange):
        check(composable(words))
    return run([SWEEP, *words])
