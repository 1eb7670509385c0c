"""Explanation methods: `explainer(classifier, clip, target) -> saliency`, on tensors alone.

Shapes: clip (B, 3, T, H, W), target (B,), saliency (B, T, H, W). See base.py for the contract.
"""

from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus
from vxbench.explainers.controls import Boxes, Centre, Random
from vxbench.explainers.gradients import Gradients, InputXGradient, IntegratedGradients, SmoothGrad
from vxbench.explainers.normalise import normalise
from vxbench.explainers.perturbation import EP3D, FEP, STEP, EP3DEvenly, EP3DGaussian, FEPOnSTEP

__all__ = [
    "EP3D",
    "FEP",
    "STEP",
    "Boxes",
    "Centre",
    "EP3DEvenly",
    "EP3DGaussian",
    "FEPOnSTEP",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradients",
    "InputXGradient",
    "IntegratedGradients",
    "Random",
    "SmoothGrad",
    "normalise",
]
