"""Measuring translations: what a metric is, what it is fed, and how numbers are recorded and compared."""

from i2i_forge.metrics.accumulators import Accumulator, ByInput, Moments, Sample
from i2i_forge.metrics.batch import Backbone, BackboneInfo, Batch, exact
from i2i_forge.metrics.bootstrap import of_mean, over_inputs, paired
from i2i_forge.metrics.classifier import Classifier
from i2i_forge.metrics.metric import Metric, Outcome, Protocol, Tools

__all__ = [
    "Accumulator",
    "Backbone",
    "BackboneInfo",
    "Batch",
    "ByInput",
    "Classifier",
    "Metric",
    "Moments",
    "Outcome",
    "Protocol",
    "Sample",
    "Tools",
    "exact",
    "of_mean",
    "over_inputs",
    "paired",
]
