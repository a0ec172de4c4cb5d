"""Metrics, protocols and records; LPIPS; the classifier of modes. Here: all that the author of a metric needs.

The name of this room is also that of a verb: `i2i_forge.measure(metric, tensors)`.
"""

from i2i_forge.measure.accumulators import Accumulator, ByGroup, ByInput, Moments, Sample
from i2i_forge.measure.batch import Backbone, BackboneInfo, Batch, Classifier, exact
from i2i_forge.measure.bootstrap import of_groups, of_mean, over_inputs, paired
from i2i_forge.measure.metric import Metric, Outcome, Protocol, Tools
from i2i_forge.system.verbs import callable_package

__all__ = [
    "Accumulator", "Backbone", "BackboneInfo", "Batch", "ByGroup", "ByInput", "Classifier", "Metric", "Moments",
    "Outcome", "Protocol", "Sample", "Tools", "exact", "of_groups", "of_mean", "over_inputs", "paired",
]  # fmt: skip

callable_package(__name__, "measure.tensors.measure")
