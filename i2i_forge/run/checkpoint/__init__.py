"""Checkpoints: folders that are there whole or not at all, and are verified whenever they are read.

    checkpoints/step-00012000/   model.safetensors   optimizers.safetensors   state.json   MANIFEST.json
                                 rank-1.safetensors ...: pools and statistics of further ranks, each has its own

A checkpoint is written to a hidden folder, every file synced to disk, and renamed once: the rename is the commit.
MANIFEST.json holds the size and SHA-256 of each file; the format's version stands in it and in state.json, so that a
damaged version is told from a newer one. There is no pickle anywhere.
"""

from i2i_forge.run.checkpoint.reading import FORMAT_VERSION, MANIFEST, Checkpoint, folder_of, list_steps, newest, read
from i2i_forge.run.checkpoint.restoring import digest, initialise, restore
from i2i_forge.run.checkpoint.writing import of_this_rank, save, sweep

__all__ = [
    "FORMAT_VERSION", "MANIFEST", "Checkpoint", "digest", "folder_of", "initialise", "list_steps", "newest",
    "of_this_rank", "read", "restore", "save", "sweep",
]  # fmt: skip
