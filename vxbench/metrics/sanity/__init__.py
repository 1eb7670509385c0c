"""Tests whether a map depends on what the network has learned; see check.py."""

from vxbench.metrics.sanity.check import SanityCheck

__all__ = ["SanityCheck"]
