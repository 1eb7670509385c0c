"""TODO."""

import argparse
import sys
from pathlib import Path

from vxbench.errors import UserError
from vxbench.page.collect import CLIPS_SHOWN, make_report


def main(argv: list[str] | None = None) -> None:
    """Entry point. Exit status 0: the page is written; 2: there is nothing to show, or it cannot be read."""
    given = _parser().parse_args(argv)
    try:
        path = make_report(given.results, given.clips)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Write <results>/report/index.html: every table, curve, map and value of a folder of results."
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder that the runs wrote (results)")
    parser.add_argument(
        "--clips",
        type=int,
        default=CLIPS_SHOWN,
        help=f"clips in the gallery, for each model and data set ({CLIPS_SHOWN})",
    )
    return parser
