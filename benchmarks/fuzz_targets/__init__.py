"""What can be fuzzed: readers of files that somebody else wrote.

A target is a module of this package with a `TARGET`, named in NAMES. It turns bytes into a call of the reader, which
may raise nothing but a ForgeError; the search around it (search.py) is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from random import Random
from types import ModuleType

NAMES = {  # target -> module
    "image": "images", "stored-image": "stored_images", "archive": "archives", "image-list": "image_lists",
    "recipe": "recipes", "term": "objectives", "checkpoint": "checkpoints", "foreign": "foreign_checkpoints",
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader under fuzz.

    Attributes:
        read: called with each input, in a process of its own whose temporary folder is emptied at the end; raises
            ForgeError for what it refuses, anything else is a finding.
        seeds: good inputs and interesting bad ones, from which the others are made.
        modules: Python modules whose lines guide the search: inputs that reach new ones are kept.
        tokens: byte strings of the format, which chance would not find.
        mutate: changes an input within its format (keeping checksums, say); used for half of the inputs.
        megabytes: memory that a call may take beside what the process has after a call for every seed.
        seconds: time that a call may take.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    modules: Sequence[ModuleType] = ()
    tokens: Sequence[bytes] = ()
    mutate: Callable[[bytes, Random], bytes] | None = None
    megabytes: int = 256
    seconds: float = 10.0


def find(name: str) -> Target:
    """The target of a name; its module is imported now."""
    target: Target = import_module(f"i2i_forge_benchmarks.fuzz_targets.{NAMES[name]}").TARGET
    return target
