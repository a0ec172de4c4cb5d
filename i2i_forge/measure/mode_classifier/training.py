"""From labelled images to a calibrated classifier with its card."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.measure.mode_classifier.calibration import fitted_temperature, quality
from i2i_forge.measure.mode_classifier.classifier import CARD_FORMAT, ModeClassifier, described, packed
from i2i_forge.measure.mode_classifier.fitting import Report, Settings, fit, logits_of
from i2i_forge.measure.mode_classifier.labelled import Labelled, LabelledData
from i2i_forge.measure.mode_classifier.networks import InceptionNetwork, Network, make_network
from i2i_forge.measure.mode_classifier.pixels import Pixels
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import seed_of

PACKAGES = ("i2i-forge", "torch", "torchvision", "safetensors")


@float32_by_default()
def train_classifier(
    data: LabelledData, settings: Settings, device: torch.device | str = "cpu", report: Report = lambda line: None
) -> ModeClassifier:
    """A classifier of the data's modes; the same settings on the same machine give the same one.

    Part of the training images is for early stop and temperature; without a test split, part of them is for the test.

    Args:
        report: is told what happens, line by line.

    Raises:
        DataError: an image, or the weights to start from, cannot be used.
        DivergedError: the loss is not finite.
    """
    device = torch.device(device)
    parts = _parts(data, settings, report)
    with (
        seeded(seed_of(settings.seed, "mode classifier"), device),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        network = make_network(settings.network, len(data.modes))
        if isinstance(network, InceptionNetwork) and not settings.from_scratch:
            network.start_from_imagenet()
        steps = fit(network.to(device), parts["train"], parts["val"], settings, report)
    trained_on = sorted(parts["train"].fingerprints + parts["val"].fingerprints)
    card = {
        "format": CARD_FORMAT,
        "network": settings.network,
        "size": settings.size,
        "modes": list(data.modes),
        **_measured(network, parts),
        "preprocess": {
            "range": [0, 1], "mean": [0.5] * 3, "std": [0.5] * 3,
            "resize": f"{settings.size}x{settings.size} bilinear", "antialias": True,
        },
        "data": dict(data.origin),
        "images": {name: len(part) for name, part in parts.items()},
        "train_list_sha256": hashlib.sha256(" ".join(map(str, trained_on)).encode()).hexdigest(),
        "settings": asdict(settings),
        "steps": steps,
        "weights_sha256": hashlib.sha256(packed(network, trained_on)).hexdigest(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    return ModeClassifier(network, described(card), data.modes, card, trained_on)


def _parts(data: LabelledData, settings: Settings, report: Report) -> dict[str, Pixels]:
    """The images to learn from, those to stop and calibrate on, and those to test on."""
    rest, test = (data.train, data.test) if data.test else data.train.split(settings.seed, "test")
    train, val = rest.split(settings.seed, "val")

    def read(name: str, images: Labelled) -> Pixels:
        return Pixels(images, settings.size, lambda done, total: report(f"{name}: {done}/{total} images"))

    return {name: read(name, images) for name, images in (("train", train), ("val", val), ("test", test))}


def _measured(network: Network, parts: Mapping[str, Pixels]) -> dict[str, Any]:
    """The temperature that fits the validation images, and how good the probabilities are before and after.

    `accuracy`, `nll` and `ece` are of the test images, after.
    """
    logits = {name: logits_of(network, parts[name]) for name in ("val", "test")}
    temperature = fitted_temperature(logits["val"], parts["val"].modes)
    found: dict[str, Any] = {"temperature": temperature}
    for name, values in logits.items():
        before, after = (asdict(quality(values / t, parts[name].modes)) for t in (1.0, temperature))
        found[name] = {**after, "uncalibrated": before}
    return found | {key: value for key, value in found["test"].items() if key != "uncalibrated"}
