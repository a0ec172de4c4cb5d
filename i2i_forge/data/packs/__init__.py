"""Packs: a folder of images as a few large shards with an index, for file systems and stores that dislike small files.

    pack.json           what there is: format, version, parts, the size and SHA-256 of each shard and of the index
    index.bin           for each image shard, offset, length, name, width, height, CRC-32
    train-000000.tar    images as they were, uncompressed

Members of one sample share what stands before the first dot, as WebDataset wants it, so the shards can be streamed.
"""

from i2i_forge.data.packs.manifest import AGAIN, FORMAT, INDEX, MANIFEST, Manifest, PartOf, Seal, Shard, read_manifest
from i2i_forge.data.packs.plan import PackPlan, plan_pack
from i2i_forge.data.packs.reading import OpenFiles, Pack
from i2i_forge.data.packs.table import ALONE, LARGEST_IMAGE, ROW, Rows, Table, write_table
from i2i_forge.data.packs.writing import SHARD_BYTES, pack, refuse_what_is_there

__all__ = [
    "AGAIN", "ALONE", "FORMAT", "INDEX", "LARGEST_IMAGE", "MANIFEST", "ROW", "SHARD_BYTES", "Manifest", "OpenFiles",
    "Pack", "PackPlan", "PartOf", "Rows", "Seal", "Shard", "Table", "pack", "plan_pack", "read_manifest",
    "refuse_what_is_there", "write_table",
]  # fmt: skip
