"""Measuring images that are in memory already: `i2i_forge.measure("lpips-diversity", images)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack, overload

import torch
from torch import Tensor

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.errors import UsageError
from i2i_forge.measure import Classifier, Outcome, Tools
from i2i_forge.measure.evaluate import Evaluation
from i2i_forge.measure.plans import choose, choose_backbones, plan
from i2i_forge.measure.samples import Item, Samples
from i2i_forge.measure.value_folders import described
from i2i_forge.system.precision import float32_by_default


class Options(TypedDict, total=False):
    """The keyword arguments of `measure`."""

    real: Tensor | None
    sources: Tensor | None
    truths: Tensor | None
    range: tuple[float, float] | None
    space: ImageSpace | Mapping[str, Any] | None
    mask: Tensor | None
    groups: Sequence[str] | None
    protocol: str
    backbone: str
    classifier: Classifier | None
    batch: int
    catalog: Catalog | None


@overload
def measure(metric: str, images: Tensor, **options: Unpack[Options]) -> list[Outcome]: ...
@overload
def measure(metric: list[str], images: Tensor, **options: Unpack[Options]) -> dict[str, list[Outcome]]: ...
@float32_by_default()
def measure(
    metric: str | list[str],
    images: Tensor,
    *,
    real: Tensor | None = None,
    sources: Tensor | None = None,
    truths: Tensor | None = None,
    range: tuple[float, float] | None = None,
    space: ImageSpace | Mapping[str, Any] | None = None,
    mask: Tensor | None = None,
    groups: Sequence[str] | None = None,
    protocol: str = "",
    backbone: str = "",
    classifier: Classifier | None = None,
    batch: int = 32,
    catalog: Catalog | None = None,
) -> list[Outcome] | dict[str, list[Outcome]]:
    """What a metric finds in images, or what several find in one pass, each by its name; it runs on their device.

    Args:
        metric: a name of the catalog, or several: features that they share are computed once.
        images: translations N,K,3,H,W, K of each of N inputs; or N,3,H,W.
        real: real images of the target domain, R,3,H,W.
        sources, truths: the inputs and the true outputs, N,3,H,W.
        range: the values of black and white in all of them. uint8 has 0 and 255; float images that go below 0 and not
            above 1 have -1 and 1; for others it must be said.
        space: what images, real images and true outputs are if they are not 8-bit RGB, as in `domains` of a recipe:
            {"unit": "HU", "range": [-1024, 3071]}. They have the values that files would, of any type, and C channels;
            what lies outside of its range counts as its end.
        mask: N,1,H,W, not 0 where values are compared.
        groups: for each input what it must not be parted from, for the interval: the subject of a slice.
        protocol: one of the metrics', for its options; counts are those of the images. METRIC=NAME is for one of them.
        backbone: "random" for untrained weights, of the metrics that can do without theirs; or METRIC=random.
        classifier: from `mode_classifier.load_classifier`.
        batch: images at once.
        catalog: the metrics; by default those of the installed plugins.

    Raises:
        UsageError: shapes or values are not those of images, or the metric needs more.
        PluginError: there is no such metric.
        DataError: pretrained weights are missing.
    """
    several = images if images.ndim == 5 else images[:, None]
    samples = TensorSamples(
        several, real=real, sources=sources, truths=truths, range=range, mask=mask, groups=groups,
        space=described(space, "space") if isinstance(space, Mapping) else space or RGB8,
    )  # fmt: skip
    catalog = catalog or load_plugins().catalog
    names = [metric] if isinstance(metric, str) else metric
    chosen = choose(catalog, names, [protocol] if protocol else [], samples.space)
    backbones = choose_backbones(catalog, names, [backbone] if backbone else [])
    plans = plan(catalog, chosen, samples, inputs=len(several), draws=several.shape[1], backbones=backbones)
    tools = Tools(images.device, classifier=classifier)
    found = Evaluation(samples, plans, tools, batch=batch).run()
    return found[0] if isinstance(metric, str) else dict(zip(chosen, found, strict=True))


class TensorSamples(Samples):
    """Images in memory, see `measure`."""

    def __init__(
        self, images: Tensor, *, real: Tensor | None = None, sources: Tensor | None = None,
        truths: Tensor | None = None, range: tuple[float, float] | None = None, space: ImageSpace = RGB8,
        mask: Tensor | None = None, groups: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        self.images = as_images(images, "images", 5, range, space)
        self.reals = None if real is None else as_images(real, "real", 4, range, space)
        given = {"source": (sources, RGB8), "truth": (truths, space)}
        self.beside = {what: as_images(x, f"{what}s", 4, range, of) for what, (x, of) in given.items() if x is not None}
        if mask is not None:
            if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[2:] != images.shape[-2:]:
                raise UsageError(f"mask: the shape is {tuple(mask.shape)}", fix="give N,1,H,W of the images' H,W")
            self.beside["mask"] = mask
        self.groups = list(groups or [])
        counts = {f"{what}s": len(x) for what, x in self.beside.items()}
        counts |= {} if groups is None else {"groups": len(groups)}
        for what, count in counts.items():
            if count != len(images):
                raise UsageError(f"{what}: {count} for {len(images)} inputs", fix="give one for each input")
        super().__init__(
            model={"name": "tensors", "weights_sha256": ""},
            data={"name": "tensors", "split": "given"},
            inputs=len(images),
            draws=images.shape[1],
            has=frozenset(what if what == "mask" else f"{what}s" for what in self.beside),
            space=space,
        )

    def real_count(self, split: str) -> int:
        return 0 if self.reals is None else len(self.reals)

    def real_item(self, split: str, number: int) -> Item:
        assert self.reals is not None
        return Item(self.reals[number], number, 0, f"real {number}")

    def translated(self, numbers: Sequence[int], seed: int, draws: Sequence[int], batch: int) -> Iterator[Item]:
        for number in numbers:
            beside: dict[str, Any] = {what: x[number] for what, x in self.beside.items()}
            beside["group"] = self.groups[number] if self.groups else ""
            self.seen["inputs"][number] = self.space.digest(self.images[number, 0])
            for draw, image in enumerate(self.images[number, : draws[number]]):
                yield Item(image, number, draw, f"input {number}", **beside)


def as_images(
    x: Tensor, what: str, axes: int, range: tuple[float, float] | None, space: ImageSpace = RGB8
) -> Tensor:  # fmt: skip
    """Float images in [-1, 1]. Raises UsageError when the axes are others, or the range is not clear."""
    if not space.is_rgb8:
        return _in_space(x, what, axes, range, space)
    if x.ndim != axes or x.shape[-3] != 3:
        expected = "N,K,3,H,W" if axes == 5 else "N,3,H,W"
        raise UsageError(f"{what}: the shape is {tuple(x.shape)}", fix=f"give RGB images {expected}")
    if x.dtype == torch.uint8:
        return x.float() / 127.5 - 1
    low, high = float(x.min()), float(x.max())
    if range is None and (low >= 0 or high > 1.0001):
        raise UsageError(
            f"{what}: values from {low:.4g} to {high:.4g} do not tell what black and white are",
            fix="say so: range=(-1, 1), (0, 1) or (0, 255)",
        )
    black, white = range or (-1.0, 1.0)
    slack = 1e-4 * (white - black)
    if low < black - slack or high > white + slack:
        raise UsageError(
            f"{what}: values from {low:.4g} to {high:.4g} are outside of {black:g} to {white:g}",
            fix="clamp them, or say the range that they have",
        )
    return (x.float() - black) * (2 / (white - black)) - 1


def _in_space(x: Tensor, what: str, axes: int, range: tuple[float, float] | None, space: ImageSpace) -> Tensor:
    """The same of stored quantities, float64."""
    if range is not None:
        raise UsageError("range and space are both given", fix="leave `range` out: the space has its own")
    if x.ndim != axes or x.shape[-3] != space.count:
        expected = f"N,K,{space.count},H,W" if axes == 5 else f"N,{space.count},H,W"
        raise UsageError(f"{what}: the shape is {tuple(x.shape)}", fix=f"give images {expected} of {space}")
    if not bool(x.isfinite().all()):
        raise UsageError(
            f"{what}: some values are not finite", fix="replace them, and leave their pixels out by `mask`"
        )
    planes = [space.to_tensor(each.double().cpu().numpy(), torch.float64) for each in x.flatten(0, -4)]
    return torch.stack(planes).reshape(*x.shape[:-3], len(space), *x.shape[-2:]).to(x.device)
