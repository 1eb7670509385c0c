"""Class activation maps: weighted sums of one layer's channels, enlarged to the clip.

A (B, K, T', h, w) are the layer's activations, G the gradient of the target's score with respect to them.
"""

from vxbench.explainers.cam.activations import (
    activation_and_gradient,
    enlarge,
    enlarge_in_time,
    find_layer,
    grid_of,
    to_grid,
)
from vxbench.explainers.cam.methods import GradCAM, GradCAMPlusPlus, SaliencyTubes

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
