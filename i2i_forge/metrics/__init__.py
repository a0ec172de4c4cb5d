"""What a metric is, what it is fed, what it may remember, and how sure it is: all that the author of one needs."""

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
