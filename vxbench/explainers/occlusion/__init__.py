"""Occlusion explainers: parts of the clip are hidden, and the change of the class score is painted back.

All go masks -> scores -> weighted sum, over one base class (base.py).
"""

from vxbench.explainers.occlusion.aosa import AOSA, AOSAApprox
from vxbench.explainers.occlusion.osa import OSA
from vxbench.explainers.occlusion.rise import RISE

__all__ = ["AOSA", "OSA", "RISE", "AOSAApprox"]
