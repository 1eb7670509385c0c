"""Occlusion explainers: parts of the clip are hidden, and what the class score does then is painted back.

masks -> scores -> weighted sum, one body (body.py) for all. Masks: cuboids.py, tubes.py, rise.py.
"""

from vxbench.explainers.occlusion.aosa import AOSA, AOSAApprox
from vxbench.explainers.occlusion.osa import OSA
from vxbench.explainers.occlusion.rise import RISE

__all__ = ["AOSA", "OSA", "RISE", "AOSAApprox"]
