"""From labelled images to a classifier with its card, whose temperature is calibrated (Guo et al. 2017)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.measure.mode_classifier.classifier import CARD_FORMAT, ModeClassifier, described, packed
from i2i_forge.measure.mode_classifier.fitting import Report, Settings, fit, logits_of
from i2i_forge.measure.mode_classifier.labelled import Labelled, LabelledData, Pixels
from i2i_forge.measure.mode_classifier.networks import InceptionNetwork, Network, make_network
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import seed_of

PACKAGES = ("i2i-forge", "torch", "torchvision", "safetensors")
BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3


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


@dataclass(frozen=True)
class Quality:
    """Of a classifier on labelled images: share of right answers, mean negative log-likelihood in nats, and ECE."""

    accuracy: float
    nll: float
    ece: float


def quality(logits: Tensor, modes: Tensor) -> Quality:
    """Logits N,M and true modes N.

    ECE is the mean over images of |share of right answers - mean confidence| of the image's bin, in 15 bins of
    confidence of equal width (Guo et al. 2017, eq. 3).
    """
    logits = logits.double()
    confidence, answers = logits.softmax(1).max(1)
    right = (answers == modes).double()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).scatter_add_(0, bins, right - confidence)
    nll = float(functional.cross_entropy(logits, modes))
    return Quality(float(right.mean()), nll, float(gaps.abs().sum()) / len(modes))


def fitted_temperature(logits: Tensor, modes: Tensor) -> float:
    """The T for which softmax(logits / T) has the least negative log-likelihood; logits N,M, true modes N.

    The likelihood is concave in 1 / T, so the root of its slope is bisected. Where every answer is right it grows for
    ever as T falls to 0: such images say nothing about confidence, and T stays 1.
    """
    if bool((logits.argmax(1) == modes).all()):
        return 1.0
    logits = logits.double()
    true = logits.gather(1, modes[:, None])
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)  # of 1 / T
    for _ in range(60):
        middle = (low + high) / 2
        slope = ((logits * math.exp(middle)).softmax(1) * logits).sum() - true.sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp(-(low + high) / 2)
