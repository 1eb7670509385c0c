"""Which weights a cell runs with, and where they are."""

from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import InterpolationKeyError

from vxbench.errors import UserError
from vxbench.models import digest, locate


def weights_file(config: DictConfig) -> Path | None:
    """The checkpoint of the model on this data set's classes; None for random weights.

    Raises:
        UserError: none is known for them, or the file does not exist.
    """
    try:
        checkpoint = config.model.checkpoint
        _ = config.model.num_classes
    except InterpolationKeyError as error:
        known = ", ".join(config.weights) or "none"
        raise UserError(
            f"{config.model.key} has no weights for the classes of {config.dataset.labels} (known: {known}); "
            "give model.checkpoint=<file> or null, and model.num_classes=<number>"
        ) from error
    if checkpoint is None:
        return None
    entry = checkpoint if isinstance(checkpoint, DictConfig) else {"file": checkpoint}
    path = locate(entry["file"])
    if not path.is_file():
        source = f" ({entry['source']})" if "source" in entry else ""
        raise UserError(f"{path} does not exist{source}; put it there, or model.checkpoint=null for random weights")
    return path


def weights_digest(config: DictConfig) -> str:
    """Digest of the checkpoint, or which random weights are used.

    Raises:
        UserError: as weights_file.
    """
    path = weights_file(config)
    return f"random-{config.model.seed}" if path is None else digest(path)
