"""Metrics: `metric(classifier, batch, saliency) -> Scores`, one number a clip and key; see base.py."""

from vxbench.metrics.base import Batch, Metric, Scores
from vxbench.metrics.consistency import SpatiotemporalConsistency
from vxbench.metrics.faithfulness import DropInConfidence, ExplanationAccuracy, Faithfulness

__all__ = [
    "Batch",
    "DropInConfidence",
    "ExplanationAccuracy",
    "Faithfulness",
    "Metric",
    "Scores",
    "SpatiotemporalConsistency",
]
