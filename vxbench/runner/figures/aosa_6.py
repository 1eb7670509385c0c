"""AOSA Fig. 6: maps of the methods of Table III."""

from vxbench.runner.figures.methods import make

__all__ = ["make"]
