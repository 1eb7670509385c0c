"""AOSA Fig. 5: maps of the methods of Tables I and II."""

from vxbench.runner.figures.methods import make

__all__ = ["make"]
