"""Which classifier the metrics of modes ask."""

from __future__ import annotations

from i2i_forge.errors import UsageError
from i2i_forge.measure import Classifier, Tools
from i2i_forge.measure.mode_classifier import random_classifier

RANDOM_MODES = 8


def classifier_for(tools: Tools, metric: str) -> Classifier:
    """The one that the user gave; with `--backbone random` and none given, an untrained one.

    Raises:
        UsageError: there is neither.
    """
    if tools.classifier is not None:
        return tools.classifier
    if tools.backbone == "random":
        return tools.built("random classifier", lambda: random_classifier(RANDOM_MODES, device=tools.device))
    raise UsageError(
        f"{metric} needs a classifier of the modes of the target domain",
        fix="train one, `forge classifier train DATA --out DIR`, and give it: --classifier DIR",
    )


def held_out_accuracy(classifier: Classifier) -> dict[str, float]:
    """For an Outcome's components; nothing where it is not known."""
    accuracy = classifier.card.get("accuracy")
    return {"classifier_accuracy": accuracy} if isinstance(accuracy, float) else {}
