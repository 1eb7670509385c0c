"""Scores maps: `metric(classifier, batch, saliency) -> Scores`, one number a clip and key; see base.py."""

from vxbench.fact import Fact
from vxbench.metrics.accuracy import TopK
from vxbench.metrics.base import Batch, Metric, Scores
from vxbench.metrics.consistency import SpatiotemporalConsistency
from vxbench.metrics.curves import DeletionCurve, DeletionInsertion
from vxbench.metrics.faithfulness import DropInConfidence, ExplanationAccuracy, Faithfulness
from vxbench.metrics.pointing import SpatialPointingGame, TemporalPointingGame
from vxbench.metrics.preservation import MinimumPreservationRatio
from vxbench.metrics.sanity import SanityCheck
from vxbench.metrics.timing import GenerationTime

__all__ = [
    "Batch",
    "DeletionCurve",
    "DeletionInsertion",
    "DropInConfidence",
    "ExplanationAccuracy",
    "Fact",
    "Faithfulness",
    "GenerationTime",
    "Metric",
    "MinimumPreservationRatio",
    "SanityCheck",
    "Scores",
    "SpatialPointingGame",
    "SpatiotemporalConsistency",
    "TemporalPointingGame",
    "TopK",
]
