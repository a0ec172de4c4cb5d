"""Translations made by a trained run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import LABELS, Domains, build_dataset
from i2i_forge.data.source import Dataset, Source, without_tests
from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import DataError
from i2i_forge.measure.batch import exact
from i2i_forge.measure.samples import Item, Samples, grouped
from i2i_forge.run.identity import fingerprint
from i2i_forge.system.seeding import generator
from i2i_forge.translate.translator import Translator


class RunSamples(Samples):
    """Translations made by a run, of its data set's test split.

    Noise is a function of (seed, input, draw): two runs of one method get the same codes, whatever the batch size, the
    number of ranks, or how many draws are asked for.

    Args:
        translator: the run.
        catalog: where its data set comes from.
        route: the direction.
        device: where the images go.
        name: what records call the run; by default its recipe's name.
        data: options of the data set that are others than in training.
    """

    def __init__(
        self, translator: Translator, catalog: Catalog, route: str, device: torch.device, *, name: str = "",
        data: Mapping[str, Any] = {},
    ) -> None:  # fmt: skip
        spec = translator.recipe.data
        options = {**spec.options, **data}
        self.translator, self.route, self.device = translator, route, device
        self.latent, self.further = translator.latent(route), translator.further(route)
        self.domains = translator.trainer.routes[route]
        source_space, space = (translator.trainer.spaces[domain] for domain in self.domains)
        described = Domains.of(translator.recipe, catalog)
        if not space.is_rgb8:  # then an example says which of its pixels have a value
            described = described.with_spaces({f"valid_{self.domains[1]}": ImageSpace(LABELS)})
        self.dataset: Dataset = build_dataset(spec.use, options, described, catalog, "data")
        self._sources: dict[str, Sequence[Source]] = {}
        self.source, self.target = self._holder(self.domains[0], "test"), self._holder(self.domains[1], "test")
        is_paired = self.source is self.target
        is_masked = is_paired and "mask" in self.source.example(0, None)
        untested = [domain for domain in without_tests(self.dataset) if domain in self.domains]
        super().__init__(
            model={
                "name": name or translator.recipe.name, "recipe": translator.recipe.name,
                "trainer": translator.recipe.trainer, "step": translator.step,
                "route": route, "weights_sha256": translator.weights_sha256, "styles": "drawn for each input",
                "recipe_sha256": fingerprint(translator.recipe),
                **({"edited": translator.edited} if translator.edited else {}),
            },
            data={"name": spec.use, "split": "train" if self.domains[0] in untested else "test", "options": options},
            inputs=len(self.source),
            is_deterministic=self.latent is None,
            has=frozenset({"sources"} | ({"truths"} if is_paired else set()) | ({"mask"} if is_masked else set())),
            space=space,
            source_space=source_space,
            warnings=[f"there is no test set of {x}: the images are training images" for x in untested],
        )  # fmt: skip
        if translator.edited:
            self.warnings.append(f"the run's recipe was edited after it was trained: {translator.edited}")

    def real_count(self, split: str) -> int:
        return len(self._holder(self.domains[1], split))

    def real_item(self, split: str, number: int) -> Item:
        source = self._holder(self.domains[1], split)
        image = source.example(number, None)[self.domains[1]]
        self.seen[split][number] = self.space.digest(image)
        return Item(image.to(self.device), number, 0, source.name(number))

    def _holder(self, domain: str, split: str) -> Source:
        if split not in self._sources:
            self._sources[split] = self.dataset.sources(split)
        for source in self._sources[split]:
            if domain in source.example(0, None):
                return source
        raise DataError(f"the data set has no {split} images of domain '{domain}'", fix="give it some, see data.root")

    def translated(self, numbers: Sequence[int], seed: int, draws: Sequence[int], batch: int) -> Iterator[Item]:
        inputs = (self._input(number) for number in numbers)
        for several, found in groupby(inputs, lambda item: draws[item.input] > 1):
            if several:
                for item in found:
                    yield from self._several(item, seed, draws[item.input], batch)
            else:
                for group in grouped(found, batch):
                    yield from self._single(group, seed)

    def _input(self, number: int) -> Item:
        example = self.source.example(number, None)
        self.seen["inputs"][number] = self.source_space.digest(example[self.domains[0]])
        x = example[self.domains[0]].to(self.device)
        truth, name = example.get(self.domains[1]), self.source.name(number)
        group = self.source.group(number) if hasattr(self.source, "group") else name
        beside = {name: example[name].to(self.device) for name in self.further if name in example}
        truth = truth if truth is None else truth.to(self.device)
        return Item(x, number, 0, name, x, truth, self._mask(example), group, beside)

    def _mask(self, example: Mapping[str, Tensor]) -> Tensor | None:
        """Where an example is measured, 1,H,W bool: in its image `mask`, and where the true output has a value."""
        limits = [example[name] > 0 for name in ("mask", f"valid_{self.domains[1]}") if name in example]
        return torch.stack(limits).all(0).to(self.device) if limits else None

    def _single(self, items: list[Item], seed: int) -> Iterator[Item]:
        """The first translation of each, made together."""
        given: dict[str, Any] = {}
        if self.latent:
            given[self.latent] = torch.cat([self._code(seed, item.input, 0) for item in items])
        x = torch.stack([item.image for item in items])
        beside = {name: torch.stack([item.beside[name] for item in items]) for name in items[0].beside}
        with exact():
            images = self.translator.translate(x, self.route, beside=beside, **given)
        for item, image in zip(items, images, strict=True):
            yield replace(item, image=image)

    def _several(self, item: Item, seed: int, draws: int, batch: int) -> Iterator[Item]:
        """All translations of one, whose content is computed once."""
        codes = torch.cat([self._code(seed, item.input, draw) for draw in range(draws)])
        beside = {name: image[None] for name, image in item.beside.items()}
        images = self.translator.translations(item.image[None], self.route, codes, batch=batch, beside=beside)
        for draw in range(draws):
            with exact():
                image = next(images)
            yield replace(item, image=image, draw=draw)

    def _code(self, seed: int, number: int, draw: int) -> Tensor:
        return self.translator.draw(self.route, generator(seed, "evaluation", number, draw))
