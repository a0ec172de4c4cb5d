"""Using a trained run: images of any size in, translations out."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import checkpoint
from i2i_forge.build import build_trainer
from i2i_forge.data.decode import decode
from i2i_forge.data.folders import list_images
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import CheckpointError, DataError, UsageError
from i2i_forge.images import save_png, sheet
from i2i_forge.plugins import load_plugins
from i2i_forge.recipe import Recipe
from i2i_forge.registry import Catalog
from i2i_forge.run_folder import RunFolder
from i2i_forge.seeding import generator
from i2i_forge.trainer import Trainer
from i2i_forge.varying import Varying, unvaried

SMALLEST = 64  # pixels that every side is padded to: the coarsest scale of the networks needs them


class Translator:
    """A trainer for inference: `translate` takes any size, `encode` and `styles` give codes.

    Attributes:
        trainer: the networks, in eval mode when used.
        recipe: what they were trained with.
        step: how many steps they were trained for.
        weights_sha256: what identifies the checkpoint's weights; "" when they are from elsewhere.
    """

    def __init__(self, trainer: Trainer, recipe: Recipe, step: int, weights_sha256: str = "") -> None:
        self.trainer, self.recipe, self.step, self.weights_sha256 = trainer, recipe, step, weights_sha256
        self._shared: dict[str, list[str]] = {}  # route -> tensors that no code changes

    def latent(self, route: str) -> str | None:
        """The tensor that makes one translation differ from another; None when the route is deterministic."""
        if route not in self.trainer.routes:
            routes = ", ".join(self.trainer.routes)
            raise UsageError(f"there is no route '{route}'", fix=f"choose one of: {routes}")
        return next(iter(self.trainer.latents_of(route)), None)

    def translate(
        self, x: Tensor, route: str = "ab", *, generator: torch.Generator | None = None, **given: Tensor
    ) -> Tensor:
        """Translate images of any size.

        Args:
            x: N,3,H,W in [-1, 1]. With N = 1 a given code may have K rows: one content, K translations.
            route: the direction.
            generator: where draws that are not given come from.
            given: tensors of the pass by name, e.g. `random_style=s` with s: N,dim.

        Returns:
            N,3,H,W (K,3,H,W) in [-1, 1], the size of x.
        """
        padded, place = self._padded(x)
        return _cut(self.trainer.translate(padded, route, generator=generator, **given), place, x)

    def translations(
        self, x: Tensor, route: str = "ab", codes: Tensor | None = None, *, batch: int | None = None
    ) -> Iterator[Tensor]:
        """The translations of one image with each code. What no code changes is computed once, such as its content.

        Args:
            x: 1,3,H,W in [-1, 1], of any size.
            route: the direction.
            codes: K,dim; None for a deterministic route, which has one translation.
            batch: codes at once; by default what is fastest: one on a processor, whose cache a batch would fall out
                of, elsewhere as many as fill eight images of 256x256.

        Yields:
            K times 3,H,W in [-1, 1], the size of x.
        """
        latent = self.latent(route)
        if latent is None or codes is None:
            yield self.translate(x, route)[0]
            return
        padded, place = self._padded(x)
        parts = torch.split(codes, batch or self._codes_at_once(padded))
        vary = Varying(self.trainer, padded, route, latent, self._kept(padded, route, parts))
        for some in parts:
            yield from _cut(vary(some), place, x)

    def encode(self, x: Tensor, what: str, domain: str) -> Tensor:
        """A code of images of any size: `encode(x, "style", "b")` -> N,dim."""
        return self.trainer.encode(self._padded(x)[0], what, domain)

    def _kept(self, x: Tensor, route: str, parts: Sequence[Tensor]) -> list[str]:
        """The tensors that all parts of the codes share."""
        if len(parts) < 2:
            return []
        if route not in self._shared:
            given = {str(self.latent(route)): parts[0]}
            self._shared[route] = unvaried(self.trainer, {self.trainer.routes[route][0]: x}, route, given)
        return self._shared[route]

    def _codes_at_once(self, x: Tensor) -> int:
        return 1 if self.trainer.device.type == "cpu" else max(1, 8 * 256**2 // (x.shape[-2] * x.shape[-1]))

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """x with its border repeated to a size that the networks take, and where x begins in it."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise UsageError(f"images are N,3,H,W, these are {tuple(x.shape)}", fix="add the batch axis: x[None]")
        strides = [getattr(network, "stride", 1) for _, network in self.trainer.modules()]
        multiple = math.lcm(*strides)
        height, width = (max(math.ceil(n / multiple) * multiple, SMALLEST) for n in x.shape[-2:])
        top, left = (height - x.shape[-2]) // 2, (width - x.shape[-1]) // 2
        edges = (left, width - x.shape[-1] - left, top, height - x.shape[-2] - top)
        return (F.pad(x, edges, mode="replicate") if any(edges) else x), (top, left)


def _cut(y: Tensor, place: tuple[int, int], x: Tensor) -> Tensor:
    """What a padded image became, without the border: the size of x."""
    (top, left), (height, width) = place, x.shape[-2:]
    return y[..., top : top + height, left : left + width].clamp(-1, 1)


def load(run: str | Path, device: torch.device | str = "cpu", catalog: Catalog | None = None) -> Translator:
    """The translator of a run's newest verified checkpoint.

    Args:
        run: a folder that `forge train` or `forge checkpoint import` made.
        device: where to translate.
        catalog: the components; by default those of the installed plugins.

    Raises:
        CheckpointError: there is no run, no checkpoint, or all are damaged.
    """
    folder = RunFolder.open(run)
    found = checkpoint.newest(folder.checkpoints, _warn)
    if found is None:
        raise CheckpointError(
            f"{run} has no checkpoint yet", fix="train it first: the same `forge train` command again"
        )
    recipe = folder.recipe()
    trainer = build_trainer(without_losses(recipe), catalog or load_plugins().catalog, device)
    checkpoint.restore(found, trainer, optimizers=False)
    return Translator(trainer, recipe, found.step, found.model_sha256)


def without_losses(recipe: Recipe) -> Recipe:
    """Translating needs no objective, and so none of the files that losses may need."""
    phases = {name: phase.model_copy(update={"minimize": {}}) for name, phase in recipe.phases.items()}
    return recipe.model_copy(update={"phases": phases})


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


# ---- files -----------------------------------------------------------------------------------------------------


def find_inputs(inputs: list[Path]) -> list[tuple[Path, str]]:
    """The image files of files and folders, each with the name its translations get; the names differ."""
    found: list[tuple[Path, str]] = []
    for path in inputs:
        if path.is_dir():
            found += [(f, "_".join(f.relative_to(path).with_suffix("").parts)) for f in list_images(path)]
        elif path.exists():
            found.append((path, path.stem))
        else:
            raise DataError(f"{path}: there is no such file or folder", fix="give images, or folders of images")
    wanted, taken = {name for _, name in found}, set[str]()
    unique = []
    for path, name in found:
        others = (f"{name}-{number}" for number in itertools.count(2))
        free = name if name not in taken else next(n for n in others if n not in taken | wanted)
        taken.add(free)
        unique.append((path, free))
    return unique


def translate_files(
    translator: Translator,
    inputs: list[Path],
    out: Path,
    *,
    route: str = "ab",
    styles: int = 1,
    reference: Path | None = None,
    interpolate: int = 0,
    seed: int = 0,
    batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Translate files and folders to PNG, and write `sheet.png`.

    Args:
        out: the folder to write to: NAME-00.png, NAME-01.png ... for each input, in the order of the styles.
        styles: how many random styles; the same ones for every input.
        reference: an image of the target domain whose style is used instead.
        interpolate: this many steps from one random style to another (or from the first to the reference's).
        seed: of the random styles.
        batch: styles decoded at once; by default what is fastest.

    Returns:
        The files, the sheet last.
    """
    found = find_inputs(inputs)
    codes = _codes(translator, route, styles, reference, interpolate, seed)
    count = len(codes) if codes is not None else 1
    digits = max(2, len(str(count - 1)))
    written: list[Path] = []
    rows: list[list[Tensor]] = []
    for number, (path, name) in enumerate(found):
        x = to_tensor(decode(path))[None]
        row = [_small(x[0])]
        for index, image in enumerate(translator.translations(x, route, codes, batch=batch)):
            written.append(out / f"{name}-{index:0{digits}d}.png")
            save_png(image, written[-1])
            row += [_small(image)] if index < 12 else []
        rows += [row] if len(rows) < 24 else []  # a sheet is for looking at
        if progress:
            progress(number + 1, len(found))
    labels = ["input", *_labels(count, reference, interpolate, latent=codes is not None)[:12]]
    save_png(sheet(rows, labels), out / "sheet.png")
    return [*written, out / "sheet.png"]


def _codes(
    translator: Translator, route: str, styles: int, reference: Path | None, interpolate: int, seed: int
) -> Tensor | None:
    """The codes to decode, K,dim; None for a deterministic method."""
    trainer, latent = translator.trainer, translator.latent(route)
    method = type(trainer).__name__
    if latent is None:
        if reference or interpolate or styles > 1:
            raise UsageError(
                f"{method} is deterministic: it has one translation for an image"
                + (f" along '{route}'" if trainer.latents else ""),
                fix="leave out --styles, --reference and --interpolate",
            )
        return None
    encodes, (source, target) = trainer.latents[latent], trainer.routes[route]
    if reference and encodes is None:
        raise UsageError(f"{method} cannot take a style from a reference image", fix="leave out --reference")
    probe = {source: torch.zeros(1, 3, SMALLEST, SMALLEST)}
    draws = (generator(seed, "styles", number) for number in range(max(styles, 2)))  # a style whatever their number
    random = torch.cat([trainer.infer(latent, probe, route, generator=draw) for draw in draws])
    guide = None
    if reference is not None and encodes is not None:
        guide = translator.encode(to_tensor(decode(reference))[None], encodes, target)
    if interpolate:
        first, last = random[:1], guide if guide is not None else random[1:2]
        return torch.cat([torch.lerp(first, last, i / max(interpolate - 1, 1)) for i in range(interpolate)])
    return guide if guide is not None else random[:styles]


def _small(image: Tensor) -> Tensor:
    """3,H,W for a sheet: large images shrunk, so that those of many inputs can be kept."""
    times = max(image.shape[1:]) // 512
    return F.avg_pool2d(image, times, ceil_mode=True) if times > 1 else image


def _labels(count: int, reference: Path | None, interpolate: int, *, latent: bool) -> list[str]:
    if not latent:
        return ["translation"]
    if interpolate:
        return [f"{i / max(interpolate - 1, 1):.0%}" for i in range(interpolate)]
    return ["reference style"] if reference else [f"style {i}" for i in range(count)]
