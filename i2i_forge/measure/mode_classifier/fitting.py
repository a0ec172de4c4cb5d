"""The training loop: augmented batches, AdamW along a cosine, early stop on the validation images."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from i2i_forge.errors import DivergedError, UsageError, suggest
from i2i_forge.measure import exact
from i2i_forge.measure.mode_classifier.labelled import Pixels
from i2i_forge.measure.mode_classifier.networks import SMALLEST, Network
from i2i_forge.system.seeding import generator

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
