"""`python scripts/benchmark.py explainers | models | loading`."""

import argparse
import sys

from hydra.errors import HydraException

from vxbench.costs import explainers, loading, models
from vxbench.errors import UserError, first_line

PARTS = {"explainers": explainers, "models": models, "loading": loading}


def main(argv: list[str] | None = None) -> int:
    """0 when measured, 2 when the command is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, part in PARTS.items():
        about = part.__doc__.splitlines()[0]
        formatter = argparse.ArgumentDefaultsHelpFormatter
        part.add_options(parts.add_parser(name, help=about, description=about, formatter_class=formatter))
    given = parser.parse_args(argv)
    try:
        PARTS[given.part].run(given)
    except (UserError, HydraException) as error:
        print(f"benchmark: {first_line(error)}", file=sys.stderr)
        return 2
    return 0
