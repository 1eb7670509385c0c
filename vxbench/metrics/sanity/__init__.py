"""Does a map depend on what the network has learned? See check.py."""

from vxbench.metrics.sanity.check import SanityCheck

__all__ = ["SanityCheck"]
