"""One run's folder: the loop, records, checkpoints, those of other programs, replay."""

from typing import TYPE_CHECKING

from i2i_forge.system.verbs import names_from

if TYPE_CHECKING:
    from i2i_forge.run.loop import Run

__all__ = ["Run"]

__getattr__ = names_from(__name__, {"Run": "run.loop"})
