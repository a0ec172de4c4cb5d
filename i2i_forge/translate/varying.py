"""Many translations of the same images: what no code changes, and so is computed once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from i2i_forge.engine.trainer import Trainer
from i2i_forge.engine.watcher import Needs, Node


def unvaried(trainer: Trainer, batch: dict[str, Tensor], route: str, given: dict[str, Tensor]) -> list[str]:
    """The tensors that a translation is made of and that what is given does not change; nearest to the translation.

    A translation is made of tensors without data. What cannot be made so has none: everything is computed every time.
    """
    needs, images = Needs(), trainer.ready(batch)
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
            images = {name: fake.from_tensor(value) for name, value in images.items()}
            with trainer.translating(images, route, given, watcher=needs, seed_layers=False) as forward:
                getattr(forward, "translation")  # noqa: B009
    except Exception:  # whatever a plugin does that needs values
        return []
    varied = {("translate", route, name) for name in given}
    found = _nearest(("translate", route, "translation"), varied, needs.needs)
    return [name for _, along, name in found if along == route]


def _nearest(node: Node, varied: set[Node], needs: dict[Node, list[Node]]) -> list[Node]:
    """The tensors nearest to one that it needs and that do not vary; an image of the batch needs no keeping."""
    found: list[Node] = []
    for needed in needs.get(node, []):
        if _varies(needed, varied, needs):
            found += [n for n in _nearest(needed, varied, needs) if n not in found]
        elif needed in needs and needed not in found:
            found.append(needed)
    return found


def _varies(node: Node, varied: set[Node], needs: dict[Node, list[Node]]) -> bool:
    return node in varied or any(_varies(needed, varied, needs) for needed in needs.get(node, []))
