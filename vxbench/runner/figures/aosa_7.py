"""AOSA Fig. 7: AOSA-approx without and with conditional sampling and the ReLU."""

from vxbench.runner.figures.methods import make

__all__ = ["make"]
