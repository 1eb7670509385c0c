"""Train one model: `python scripts/train.py model=tsm`; options in conf/train.yaml."""

import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, conf_dir
from vxbench.errors import ClipError, UserError, first_line

MISTAKES = (UserError, ClipError, HydraException, OmegaConfBaseException)


def job(config: DictConfig) -> None:
    from vxbench.training.train import train

    try:
        train(config)
    except MISTAKES as error:
        sys.exit(f"train: {first_line(error)}")
    except OSError as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: stopped; resume=true goes on")


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing several lines
    try:
        check_choices(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    except MISTAKES as error:
        sys.exit(f"train: {first_line(error)}")
