"""Class activation maps: a weighted sum of one layer's channels, enlarged to the clip.

A (B, K, T', h, w) are the layer's activations, G the gradient of the target's score with respect to them.
"""

from vxbench.explainers.cam.enlarge import enlarge, enlarge_in_time
from vxbench.explainers.cam.gradcam import GradCAM, GradCAMPlusPlus
from vxbench.explainers.cam.grid import grid_of, to_grid
from vxbench.explainers.cam.layers import activation_and_gradient, find_layer
from vxbench.explainers.cam.tubes import SaliencyTubes

__all__ = [
    "GradCAM",
    "GradCAMPlusPlus",
    "SaliencyTubes",
    "activation_and_gradient",
    "enlarge",
    "enlarge_in_time",
    "find_layer",
    "grid_of",
    "to_grid",
]
