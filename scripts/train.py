"""Train one model: `python scripts/train.py model=tsm`; options in conf/train.yaml."""

import sys

import hydra
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.models.train import train


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> None:
    try:
        train(cfg)
    except UserError as err:
        sys.exit(f"train: {err}")


if __name__ == "__main__":
    main()
