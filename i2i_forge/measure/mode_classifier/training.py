"""From labelled images to a calibrated classifier with its card.

The loop: augmented batches, AdamW along a cosine, early stop on the validation images.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.errors import DivergedError, UsageError, suggest
from i2i_forge.measure.batch import exact
from i2i_forge.measure.mode_classifier.classifier import (
    CARD_FORMAT,
    ModeClassifier,
    described,
    fitted_temperature,
    packed,
    quality,
)
from i2i_forge.measure.mode_classifier.labelled import Labelled, LabelledData, Pixels
from i2i_forge.measure.mode_classifier.networks import SMALLEST, InceptionNetwork, Network, make_network
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import generator, seed_of

PACKAGES = ("i2i-forge", "torch", "torchvision", "safetensors")
CHECKS = 20  # how often the validation images are looked at
PATIENCE = 5  # checks without improvement after which training stops
Report = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a classifier is trained.

    Attributes:
        network: one of NETWORKS.
        size: images are resized to it.
        steps: at most so many, fewer when the validation images say so.
        batch, lr: of AdamW; the rate falls to 0 along a cosine.
        from_scratch: Inception-v3 without the weights of ImageNet.
    """

    network: str
    size: int
    steps: int
    batch: int
    lr: float
    seed: int = 0
    from_scratch: bool = False


USUAL = {
    "small": Settings("small", size=64, steps=400, batch=64, lr=2e-3),
    "inception_v3": Settings("inception_v3", size=299, steps=2000, batch=32, lr=1e-4),
}


def settings_for(
    network: str = "small",
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    *,
    from_scratch: bool = False,
) -> Settings:
    """The network's usual settings, with changes. Raises UsageError when they cannot be used."""
    if network not in USUAL:
        raise UsageError(f"there is no classifier network '{network}'", fix=suggest(network, USUAL))
    usual = USUAL[network]
    if (size or usual.size) < SMALLEST[network]:
        raise UsageError(f"size {size} is too small for {network}", fix=f"use at least {SMALLEST[network]}")
    return replace(usual, size=size or usual.size, steps=steps or usual.steps, seed=seed, from_scratch=from_scratch)


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
        before, after = (quality(values / t, parts[name].modes) for t in (1.0, temperature))
        found[name] = {**after, "uncalibrated": before}
    return found | after  # of the test images, which are the last


def fit(network: Network, train: Pixels, val: Pixels, settings: Settings, report: Report) -> int:
    """Train the network, leave it at its best check by validation NLL, and say after how many steps that was.

    Raises:
        DivergedError: no check had a finite NLL.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    device = next(network.parameters()).device
    best, best_step, best_state, every = math.inf, 0, network.state_dict(), max(1, settings.steps // CHECKS)
    for step, numbers in zip(range(1, settings.steps + 1), _batches(len(train), settings), strict=False):
        images, modes = train.batch(numbers)
        images = augmented(images, generator(settings.seed, "augment", step))
        loss = network.train().loss(images.to(device), modes.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % every == 0 or step == settings.steps:
            nll = float(functional.cross_entropy(logits_of(network, val), val.modes))
            report(f"step {step}/{settings.steps}  loss {loss.item():.3f}  validation nll {nll:.4f}")
            if nll < best:
                best, best_step, best_state = nll, step, copy.deepcopy(network.state_dict())
            elif step - best_step >= PATIENCE * every:
                break
    if math.isinf(best):
        raise DivergedError("the classifier's loss is not finite", fix="train with another --seed")
    network.load_state_dict(best_state)
    return best_step


def logits_of(network: Network, pixels: Pixels, batch: int = 64) -> Tensor:
    """Logits N,M of all images, on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    numbers = range(len(pixels))
    with exact():
        parts = [network(pixels.batch(numbers[i : i + batch])[0].to(device)).cpu() for i in numbers[::batch]]
    return torch.cat(parts)


def augmented(images: Tensor, random: torch.Generator) -> Tensor:
    """B,3,S,S -> B,3,S,S: mirrored or not, shifted by up to S/16, blurred by a random amount; colours are kept.

    The blur is there because translations are less sharp than photographs.
    """
    count, side = len(images), images.shape[-1]
    margin, radius = side // 16, max(1, side // 32)
    mirrored = torch.rand(count, generator=random) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    soft = functional.pad(images, [radius] * 4, mode="replicate")
    soft = functional.avg_pool2d(soft, 2 * radius + 1, stride=1)
    images = images.lerp(soft, torch.rand(count, 1, 1, 1, generator=random))
    padded = functional.pad(images, [margin] * 4, mode="replicate")
    tops, lefts = torch.randint(2 * margin + 1, (2, count), generator=random).tolist()
    return torch.stack(
        [x[:, top : top + side, left : left + side] for x, top, left in zip(padded, tops, lefts, strict=True)]
    )


def _batches(count: int, settings: Settings) -> Iterator[list[int]]:
    """Numbers of images for ever: each once in an epoch, in an order of the epoch's own; all batches are full."""
    size, epoch, queue = settings.batch, 0, []  # type: int, int, list[int]
    while True:
        while len(queue) < size:
            queue += torch.randperm(count, generator=generator(settings.seed, "epoch", epoch)).tolist()
            epoch += 1
        yield queue[:size]
        queue = queue[size:]
