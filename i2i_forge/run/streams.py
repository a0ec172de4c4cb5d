"""The data streams of a recipe, for this rank, and the names of the images in them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains, build_dataset
from i2i_forge.data.source import Dataset, Source, without_tests
from i2i_forge.data.stream import Stream
from i2i_forge.recipe.reading import Recipe
from i2i_forge.system import distributed

log = logging.getLogger("i2i_forge")
UNTESTED = "training images take its place, in samples and in what `forge eval` measures"


def build_streams(recipe: Recipe, catalog: Catalog) -> tuple[dict[str, Stream], Sequence[Source]]:
    """The training streams by name, and the sources of the main stream's test split."""
    streams: dict[str, Stream] = {}
    described = Domains.of(recipe, catalog)
    tests: Sequence[Source] = []
    for name, spec in recipe.data.streams.items():
        where = "data" if name == "main" else f"data.{name}"
        dataset: Dataset = build_dataset(spec.use, spec.options, described, catalog, where)
        streams[name] = Stream(
            dataset.sources("train"), batch=spec.batch, seed=recipe.seed, name=name,
            rank=distributed.rank(), ranks=distributed.world_size(),
        )  # fmt: skip
        if name == "main":
            tests = dataset.sources("test")
            if distributed.rank() == 0 and (domains := without_tests(dataset)):
                log.warning("there is no test set of %s: %s", " and ".join(domains), UNTESTED)
    return streams, tests


def image_names(streams: Mapping[str, Stream], step: int, ranks: Iterable[int]) -> list[str]:
    """What the images of a step are called, those that these ranks see."""
    found: list[str] = []
    for rank in ranks:
        for stream in streams.values():
            theirs = copy.copy(stream)
            theirs.rank = rank
            found += theirs.names(step)
    return found
