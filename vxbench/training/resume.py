"""The state of a training run after each epoch, from which an interrupted run goes on as if nothing had happened.

The file holds nothing but tensors, numbers and text. So mmengine's own loader reads it with torch's safe default, which
refuses what else a pickle may hold: mmengine's message hub and functions are left out.
"""

import json
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from vxbench.errors import UserError
from vxbench.files import write_whole
from vxbench.models.loading import refuse_bombs

STATE = "state.pth"
WRITTEN = {"state_dict", "optimizer", "param_schedulers", "message_hub", "meta", "random", "settings", "seconds"}
WRONG_KINDS = (ValueError, KeyError, TypeError, AttributeError)
NO_MESSAGES = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}


class Resumable(Hook):
    """Writes folder/state.pth at the end of every epoch, after its validation, replacing the one before.

    settings: {dotted key: value} of all that decides the weights, see `check_state`.
    seconds: time of training, over all the processes it took.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        self.path = folder / STATE
        self.settings = dict(settings)
        self.seconds = 0.0
        self._since = time.perf_counter()

    def before_train(self, runner) -> None:
        self._since = time.perf_counter()

    def before_train_epoch(self, runner) -> None:
        if runner.epoch > 0:
            self._save(runner)

    def after_train(self, runner) -> None:
        self._save(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["message_hub"] = NO_MESSAGES
        checkpoint["param_schedulers"] = [_plain(state) for state in checkpoint["param_schedulers"]]
        checkpoint["random"] = _random_state()
        checkpoint["settings"] = json.dumps(self.settings)
        checkpoint["seconds"] = self.seconds

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.seconds = checkpoint["seconds"]
        _restore_random_state(checkpoint["random"])

    def _save(self, runner) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        meta = {"epoch": runner.epoch, "iter": runner.iter}
        write_whole(self.path, lambda file: runner.save_checkpoint(str(file.parent), file.name, meta=meta))


def check_state(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuses a state that is not of a run with these settings: it is neither resumed nor replaced.

    Raises:
        UserError: the first setting that differs; or the file is damaged or not a state that training wrote.
    """
    before = _settings_of(path)
    for key in sorted({*before, *settings}):
        old, new = (json.loads(json.dumps(run.get(key))) for run in (before, settings))
        if old != new:
            raise UserError(f"{path} is of a run with {key}={old}, not {new}; set it so, or give another work_dir")


def _settings_of(path: Path) -> dict[str, Any]:
    try:
        refuse_bombs(path)
        state = torch.load(path, map_location="cpu", mmap=True)
        if lacking := WRITTEN - state.keys():
            raise KeyError(*lacking)
        return dict(json.loads(state["settings"]))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, *WRONG_KINDS) as error:
        raise UserError(
            f"{path} cannot be resumed from: it is damaged or not a state that training wrote; "
            "remove it, or give another work_dir"
        ) from error


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def _plain(value: Any) -> Any:
    """value without what is not a tensor, a number, text or a container of such: functions, of a schedule."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if _is_plain(item)}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | Tensor | Mapping | list | tuple)
