"""The machine below: files and locks, downloads and archives, pretrained weights, seeds, number formats, ranks.

Here: what plugins may use of it. Importing it does not import torch.
"""

from typing import TYPE_CHECKING

from i2i_forge.system.verbs import names_from

if TYPE_CHECKING:
    from i2i_forge.system.distributed import rank, share
    from i2i_forge.system.files import cache_dir, descriptor, read_text, take_lock, write_whole
    from i2i_forge.system.precision import autocast, full
    from i2i_forge.system.seeding import generator, seed_of

__all__ = [
    "autocast", "cache_dir", "descriptor", "full", "generator", "rank", "read_text", "seed_of", "share", "take_lock",
    "write_whole",
]  # fmt: skip

__getattr__ = names_from(
    __name__,
    {
        **dict.fromkeys(("rank", "share"), "system.distributed"),
        **dict.fromkeys(("cache_dir", "descriptor", "read_text", "take_lock", "write_whole"), "system.files"),
        **dict.fromkeys(("autocast", "full"), "system.precision"),
        **dict.fromkeys(("generator", "seed_of"), "system.seeding"),
    },
)
