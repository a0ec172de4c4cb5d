"""Many translations of the same images: what no code changes, and so is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from i2i_forge.engine.forward_pass import ForwardPass
from i2i_forge.engine.passes import StepPasses
from i2i_forge.engine.trainer import Trainer

Node = tuple[str, str]  # route, tensor


def unvaried(trainer: Trainer, batch: dict[str, Tensor], route: str, given: dict[str, Tensor]) -> list[str]:
    """The tensors that a translation is made of and that what is given does not change; nearest to the translation.

    A translation is made of tensors without data. What cannot be made so has none: everything is computed every time.
    """
    seen = _Needs()
    trainer._set_mode(training=False)
    passes = StepPasses(trainer, trainer.ready(batch), 0, {"translate": {route: given}}, training=False, watcher=seen)
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
            passes.batch = {name: fake.from_tensor(value) for name, value in passes.batch.items()}
            getattr(passes.get("translate", route), "translation")  # noqa: B009
    except Exception:  # whatever a plugin does that needs values
        return []
    finally:
        passes.clear()
    found = seen.nearest((route, "translation"), {(route, name) for name in given})
    return [name for along, name in found if along == route]


class _Needs:
    """Watches which tensor asks for which."""

    def __init__(self) -> None:
        self.needs: dict[Node, dict[Node, None]] = {}
        self.stack: list[Node] = []

    def asked(self, forward: ForwardPass, name: str) -> None:
        if self.stack:
            self.needs[self.stack[-1]][forward.route, name] = None

    @contextmanager
    def computing(self, forward: ForwardPass, name: str) -> Iterator[None]:
        self.stack.append((forward.route, name))
        self.needs.setdefault(self.stack[-1], {})
        try:
            yield
        finally:
            self.stack.pop()

    def nearest(self, node: Node, varied: set[Node]) -> list[Node]:
        found: list[Node] = []
        for needed in self.needs.get(node, {}):
            if self._varies(needed, varied):
                found += [n for n in self.nearest(needed, varied) if n not in found]
            elif self._is_made(needed) and needed not in found:
                found.append(needed)
        return found

    def _varies(self, node: Node, varied: set[Node]) -> bool:
        return node in varied or any(self._varies(needed, varied) for needed in self.needs.get(node, {}))

    def _is_made(self, node: Node) -> bool:
        """Whether anything computes it: an image of the batch needs no keeping."""
        return bool(self.needs.get(node))
