"""Which network a metric asks: Inception, random Inception, or the user's classifier of modes."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from i2i_forge.errors import UsageError
from i2i_forge.measure import Backbone, Classifier, Tools
from i2i_forge.measure.mode_classifier import random_classifier
from i2i_forge_plugins.backbones.inception import Inception, Resize, published_inception, random_inception

RANDOM_MODES = 8


class ClassifierFeatures:
    """What a classifier of modes sees before its last layer, as a backbone."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.info = replace(classifier.info, id=f"{classifier.info.id}-penultimate")

    def __call__(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> B,D."""
        return self.classifier.penultimate(images)


def choose_backbone(tools: Tools, resize: Resize = "tf1") -> Backbone:
    """The backbone that the user asked for, Inception unless told otherwise.

    Args:
        tools: of the evaluation.
        resize: how Inception gets its 299x299 pixels; a classifier has its own way.

    Raises:
        UsageError: it is to be the classifier, and there is none.
        DataError: Inception's weights are not in the cache.
    """
    if tools.backbone != "classifier":
        return choose_inception(tools, resize)
    if tools.classifier is None:
        raise UsageError(
            "the classifier is to give the features, and none is given",
            fix="train one, `forge classifier train DATA --out DIR`, and give it: --classifier DIR",
        )
    return ClassifierFeatures(tools.classifier)


def choose_inception(tools: Tools, resize: Resize = "tf1") -> Inception:
    """With the published weights, or with random ones. Raises DataError when the published are not in the cache."""
    assert tools.backbone in ("", "random"), tools.backbone
    make = random_inception if tools.backbone == "random" else published_inception
    return tools.built(f"inception {resize} {tools.backbone}", lambda: make(resize, tools.device))


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
