"""Images in tar shards of an object store, in the naming of WebDataset, without giving up that a batch is a function of
(seed, step): what each shard holds is known before training, and the order of an epoch is worked out from it.
"""

from i2i_forge.data.remote_shards.cache import ShardCache
from i2i_forge.data.remote_shards.fetching import need_scheme
from i2i_forge.data.remote_shards.from_pack import find_manifest, of_pack
from i2i_forge.data.remote_shards.listing import Listing, counted
from i2i_forge.data.remote_shards.patterns import expand
from i2i_forge.data.remote_shards.sharded import ShardImages, ShardPairs, Shards, ShardSource, room

__all__ = [
    "Listing",
    "ShardCache",
    "ShardImages",
    "ShardPairs",
    "ShardSource",
    "Shards",
    "counted",
    "expand",
    "find_manifest",
    "need_scheme",
    "of_pack",
    "room",
]
