"""Records the outcome of one job, which the summary and the table at the end of a multirun read."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vxbench.errors import printable
from vxbench.files import write_whole
from vxbench.runner.parts import sound

FILE = "outcome.json"


@dataclass
class Outcome:
    """The outcome of one cell.

    status: complete | not_applicable | failed (the whole cell; `message` says why) | left_out (not a cell at all).
    selection: one line on which clips these are. network: the model's full name, which tells its variants apart.
    weights: digest of its checkpoint, or `random-<seed>`. outputs: number of the network's classes. seen: clips whose
    label and predicted class are known; right: of these, those where they are one.
    """

    model: str
    dataset: str
    explainer: str
    cell: str = ""
    status: str = "complete"
    message: str = ""
    clips: int = 0
    computed: int = 0
    failed_clips: int = 0
    selection: str = ""
    seconds: float = 0.0
    network: str = ""
    weights: str = ""
    outputs: int = 0
    seen: int = 0
    right: int = 0

    @property
    def random(self) -> bool:
        """Whether the network's weights are random."""
        return self.weights.startswith("random-")

    @property
    def name(self) -> str:
        return printable(f"{self.model} x {self.dataset} x {self.explainer}")

    def line(self) -> str:
        """One line for the terminal."""
        if self.status != "complete":
            return f"{self.name}: {self.status.replace('_', ' ')}: {printable(self.message)}"
        failed = f", {self.failed_clips} failed" if self.failed_clips else ""
        if not self.computed:
            return f"{self.name}: {self.clips} clips, all computed before{failed}"
        pace = f"{self.computed / self.seconds:.2f} clips/s, {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.name}: {self.computed} of {self.clips} clips computed{failed}, {pace}"

    def write(self, folder: Path) -> None:
        write_whole(folder / FILE, json.dumps(asdict(self), indent=1).encode())


def read_outcomes(folder: Path, job: str = "*") -> list[Outcome]:
    """Reads the outcomes of the jobs below a multirun's folder, in the order of the jobs; not damaged ones."""
    paths = sorted(Path(folder).glob(f"{job}/{FILE}"), key=lambda path: (len(path.parent.name), path.parent.name))
    found = [sound(path, lambda content: Outcome(**json.loads(content)), None) for path in paths]
    return [outcome for outcome in found if outcome]


def read_cells(folder: Path, shards: int) -> list[Outcome]:
    """Reads the outcomes of a multirun's cells, without the combinations that are none, a cell's shards joined."""
    outcomes = [outcome for outcome in read_outcomes(folder) if outcome.status != "left_out"]
    return join_shards(outcomes) if shards > 1 else outcomes


def join_shards(outcomes: list[Outcome]) -> list[Outcome]:
    """Joins the outcomes of a cell's shards: their clips are counted together, and one that failed fails the cell.

    Cells of one name that differ in a setting stay apart.
    """
    cells: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault(outcome.name, []).append(outcome)
    return [cell for shards in cells.values() for cell in _join(shards)]


def _join(shards: list[Outcome]) -> list[Outcome]:
    if len({outcome.cell for outcome in shards if outcome.cell}) > 1:
        return shards
    told = min(shards, key=lambda outcome: outcome.status != "failed")
    counts = ("clips", "computed", "failed_clips", "seconds", "seen", "right")
    return [replace(told, **{name: sum(getattr(outcome, name) for outcome in shards) for name in counts})]
