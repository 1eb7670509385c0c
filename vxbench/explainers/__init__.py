"""Explanation methods, called as `explainer(classifier, clip, target) -> saliency`, on tensors alone.

Shapes: clip (B, 3, T, H, W), target (B,), saliency (B, T, H, W). See base.py for the contract.
"""

from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, SaliencyTubes
from vxbench.explainers.controls import Boxes, Centre, Random
from vxbench.explainers.excitation import ExcitationBackpropRNN
from vxbench.explainers.gradients import Gradients, InputXGradient, IntegratedGradients, SmoothGrad
from vxbench.explainers.normalise import normalise
from vxbench.explainers.occlusion import AOSA, OSA, RISE, AOSAApprox
from vxbench.explainers.perturbation import EP3D, FEP, STEP, EP3DEvenly, EP3DGaussian, FEPOnSTEP
from vxbench.explainers.rollout import AttentionRollout

__all__ = [
    "AOSA",
    "EP3D",
    "FEP",
    "OSA",
    "RISE",
    "STEP",
    "AOSAApprox",
    "AttentionRollout",
    "Boxes",
    "Centre",
    "EP3DEvenly",
    "EP3DGaussian",
    "ExcitationBackpropRNN",
    "FEPOnSTEP",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradients",
    "InputXGradient",
    "IntegratedGradients",
    "Random",
    "SaliencyTubes",
    "SmoothGrad",
    "normalise",
]
