"""TODO."""

import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices
from vxbench.errors import UserError, first_line
from vxbench.sweeps.selection import SWEEP, check


def main() -> None:
    """Entry point: the multirun of conf/sweep/fep_select.yaml, whose end chooses. Exit status as of scripts/run.py."""
    from vxbench.commands import run as cli

    try:
        check_choices(sys.argv[1:])
        check(sys.argv[1:])
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {first_line(error)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(cli.run([SWEEP, *sys.argv[1:]]))
