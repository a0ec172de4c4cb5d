"""What the checkpoints of the three published programs have in common: names of files and layers, order, statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from torch import Tensor

from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import KeyedFormat

# Instance norms of files written by torch 0.3 carry statistics that nothing uses. Those of batch norms have a place.
STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")  # of convolutions and batch norms
# fmt: off
RANKS = (  # the order of names within a layer
    "fc", "fcVar", "conv", "shortcut", "down", "submodule", "up",
    *LEAVES,
)
# fmt: on

NUMBER = re.compile(r"^(iter_)?([0-9]+)_net_")


class Published(KeyedFormat):
    """A file for each network, `latest_net_G.pth` or `200_net_G.pth`, a bare state dict.

    Attributes:
        wanted: what is to be given instead of a file that is none.
        grey: whether a generator that makes RGB of one channel was shown grey images, and not RGB in grey.
    """

    wanted: ClassVar[str]
    grey: bool = False
    file: ClassVar = "{step}_net_{part}.pth"
    unused: ClassVar = STATISTICS

    def trained(self, content: Any, name: str) -> tuple[int, str]:
        """The number in a file's name is an epoch, or with `iter_` that of the images seen: no steps."""
        found = NUMBER.match(name)
        return 0, "" if not found else f"{found[2]} images" if found[1] else f"epoch {found[2]}"

    def images(self, files: Mapping[str, Any]) -> dict[str, int]:
        """See Format: what the generator sees is of domain a, what it makes of b."""
        return self.ends(self.networks(files))

    def ends(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """How many channels the images have that a generator of these networks sees and makes; {} without one."""
        if "encoder" not in found:
            return {}
        seen, made = (found[role]["channels"] for role in ("encoder", "decoder"))
        return {"a": 3 if (seen, made) == (1, 3) and not self.grey else seen, "b": made}

    def refused(self, file: str, why: str) -> CheckpointError:
        """What is said of a file or part that is no checkpoint of that program."""
        return CheckpointError(f"{file}: this is not a checkpoint of {self.title}, {why}", fix=self.wanted)

    @contextmanager
    def told_by_shapes(self, part: str) -> Iterator[None]:
        """Here options are read from the shapes of a part's tensors; those of another network have others."""
        try:
            yield
        except (KeyError, ValueError, IndexError) as error:
            raise self.refused(part, f"its widths cannot be read ({error})") from None


def in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in the published order: layers by number, what a level holds before what follows it."""
    return dict(sorted(tensors.items(), key=lambda item: [_rank(part) for part in item[0].split(".")]))


def batch_norm_at(tensors: Mapping[str, Tensor], layer: str) -> bool:
    """Whether `layer` ("model.3.") is a batch norm; an instance norm has no weight."""
    weight = tensors.get(f"{layer}weight")
    return weight is not None and weight.dim() == 1


def _rank(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return 0, int(part), ""
    return 1, RANKS.index(part) if part in RANKS else len(RANKS), part
