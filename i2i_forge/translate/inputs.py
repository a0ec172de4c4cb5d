"""What a translation reads: its source and further images, such as a mask, in sizes that the networks take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from i2i_forge.data.space import ImageSpace
from i2i_forge.engine.trainer import Trainer
from i2i_forge.engine.watcher import Watcher
from i2i_forge.errors import UsageError
from i2i_forge.system.files import warn
from i2i_forge.translate.pictures import checked
from i2i_forge.translate.sides import Beside, Sides, blank, fit, sides_of

Fitted = tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]  # see `sides.fit`


class Inputs:
    """What the translations of a trainer read; what is found out of its networks is found once.

    Args:
        trainer: whose networks run.
        name: of its recipe, for what users are told.
    """

    def __init__(self, trainer: Trainer, name: str) -> None:
        self.trainer, self.name, self._said_small = trainer, name, False
        self._further: dict[str, list[str]] = {}  # by route
        self._sides: dict[tuple[str, str], Sides] = {}

    def sides(self, route: str) -> Sides:
        """Which sides of images the networks of a route take."""

        def run(x: Tensor) -> Tensor:
            return self.trainer.translate(x, route, beside=blank(self.trainer, x))

        return self._sides_of("translation", route, run, self.trainer.ends(route)[0])

    @torch.no_grad()
    def further(self, route: str) -> list[str]:
        """The further images that a translation along a route reads, found by translating zeros."""
        if route not in self._further:
            least, (source, _) = self.sides(route).least, self.trainer.routes[route]
            images = self.probe(route, torch.zeros(1, len(self.trainer.spaces[source]), least, least))
            reads = _Reads()
            if len(images) > 1:
                batch = self.trainer.ready(images)
                with suppress(Exception), self.trainer.translating(batch, route, {}, watcher=reads) as forward:
                    getattr(forward, "translation")  # noqa: B009
            self._further[route] = sorted(reads.names & images.keys() - {source})
        return self._further[route]

    def along(self, route: str, x: Tensor, beside: Beside | None) -> Fitted:
        """What the translation of images x reads, N,C,H,W, by name.

        Raises:
            UsageError: x is of another shape or of other values, or a further image is missing, or of another size.
        """
        images = {self.trainer.routes[route][0]: checked(x, self.trainer.ends(route)[0])}
        for name in self.further(route):
            value = (beside or {}).get(name)
            if value is None:
                raise UsageError(
                    f"translate needs `{name}`: the translation of this method reads it",
                    fix=f"give it beside the images: beside={{'{name}': ...}}; of files say how it is named: "
                    f"--files {name}=PATTERN",
                )
            if (len(value), *value.shape[2:]) != (len(x), *x.shape[2:]):
                raise UsageError(
                    f"`{name}` has the shape {tuple(value.shape)}, the images {tuple(x.shape)}",
                    fix="give it on their grid",
                )
            images[name] = value
        return self.fitted(images, self.sides(route))

    def to_encode(self, x: Tensor, what: str, domain: str) -> Tensor:
        """Images of a domain, N,C,H,W, of which a code is computed."""
        space = self.trainer.spaces[domain]
        sides = self._sides_of(what, domain, lambda x: self.trainer.encode(x, what, domain), space)
        return self.fitted({domain: checked(x, space)}, sides)[0][domain]

    def probe(self, route: str, x: Tensor) -> dict[str, Tensor]:
        """A batch of images x, N,C,H,W, with zeros beside them, to draw codes for."""
        return {**blank(self.trainer, x), self.trainer.routes[route][0]: x}

    def _sides_of(self, what: str, where: str, compute: Callable[[Tensor], Tensor], space: ImageSpace) -> Sides:
        if (what, where) not in self._sides:
            self._sides[what, where] = sides_of(self.trainer, compute, len(space))
        return self._sides[what, where]

    def fitted(self, images: dict[str, Tensor], sides: Sides) -> Fitted:
        """See `sides.fit`; that the networks take no smaller images is said once."""
        rows, columns = next(iter(images.values())).shape[-2:]
        if min(rows, columns) <= sides.least - sides.stride and not self._said_small:
            self._said_small = True
            warn(f"images below {sides.least}x{sides.least} pixels are continued at their border: "
                 f"the networks of {self.name} take no smaller ones")  # fmt: skip
        return fit(images, rows, columns, sides)


class _Reads(Watcher):
    def __init__(self) -> None:
        self.names: set[str] = set()

    def read(self, image: str) -> None:
        self.names.add(image)
