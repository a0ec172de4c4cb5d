"""A classifier of the modes of a domain: its data, training, calibration, and the folder it is kept in."""

from i2i_forge.measure.mode_classifier.classifier import (
    ModeClassifier,
    fingerprint,
    load_classifier,
    random_classifier,
    refuse_if_inaccurate,
    save_classifier,
)
from i2i_forge.measure.mode_classifier.labelled import Labelled, LabelledData, read_labelled
from i2i_forge.measure.mode_classifier.training import Settings, settings_for, train_classifier

__all__ = [
    "Labelled", "LabelledData", "ModeClassifier", "Settings", "fingerprint", "load_classifier", "random_classifier",
    "read_labelled", "refuse_if_inaccurate", "save_classifier", "settings_for", "train_classifier",
]  # fmt: skip
