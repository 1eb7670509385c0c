"""Classifiers, from mmaction2's configs or networks of one's own, behind one calling convention.

Importing this package imports neither mmaction2 nor mmengine; building a classifier does.
"""

from vxbench.models.build import build_classifier
from vxbench.models.checkpoints import digest, load_checkpoint, locate
from vxbench.models.classifier import Classifier, InputSpec, to_clip

__all__ = ["Classifier", "InputSpec", "build_classifier", "digest", "load_checkpoint", "locate", "to_clip"]
