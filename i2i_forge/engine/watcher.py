"""Who looks on while a step's passes compute: it is told of everything, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Node = tuple[str, str, str]  # phase, route, tensor; the loss of a term is "TERM (loss)"


class Watcher:
    """Looks at nothing; subclasses say what they want to know."""

    def asked(self, node: Node) -> None:
        """A tensor is asked for."""

    def computing(self, node: Node) -> AbstractContextManager[None]:
        """Surrounds a computation; what is asked for inside is needed for it."""
        return nullcontext()

    def read(self, image: str) -> None:
        """An image of the batch is read, by its name."""

    def computed(self, node: Node, value: Any) -> None:
        """A loss or a tensor of a pass is there; the tensor may also be given or taken from another phase."""


class Needs(Watcher):
    """Notes which tensor asks for which.

    Attributes:
        needs: tensor -> the tensors it asks for.
        stack: what is being computed, the innermost last.
    """

    def __init__(self) -> None:
        self.needs: dict[Node, list[Node]] = {}
        self.stack: list[Node] = []

    def asked(self, node: Node) -> None:
        if self.stack and node not in (needs := self.needs.setdefault(self.stack[-1], [])):
            needs.append(node)

    @contextmanager
    def computing(self, node: Node) -> Iterator[None]:
        self.stack.append(node)
        try:
            yield
        finally:
            self.stack.pop()
