"""What the stand-ins for SLURM's commands share: files in $STANDIN_SLURM.

<job>.sh: the batch script. <name>.state, .pid, .cpus, .requeue: of one task, named <job>_<task>, or <job> outside an
array. One machine, one node, no accounting: only what SLURM says and does where submitit listens.
"""

import os
from pathlib import Path

FOLDER = Path(os.environ["STANDIN_SLURM"])


def options(script: Path) -> dict[str, str]:
    """The #SBATCH lines of a batch script."""
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def task_name() -> str:
    """Name of the task whose environment this is."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def filled(pattern: str) -> Path:
    """A file name of --output or --error with its %A, %a, %j and %t replaced."""
    names = {"%A": os.environ.get("SLURM_ARRAY_JOB_ID", ""), "%a": os.environ.get("SLURM_ARRAY_TASK_ID", "")}
    names |= {"%j": os.environ["SLURM_JOB_ID"], "%t": "0"}
    for sign, value in names.items():
        pattern = pattern.replace(sign, value)
    return Path(pattern)
