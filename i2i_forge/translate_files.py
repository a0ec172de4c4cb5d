"""Translating image files and folders to PNG files and a sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge.data.decode import decode
from i2i_forge.data.folders import list_images
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import DataError, UsageError
from i2i_forge.images import save_png, sheet
from i2i_forge.schema import MOST_STYLES
from i2i_forge.seeding import generator
from i2i_forge.translate import SMALLEST, TILE, Translator

LARGE = 2**23  # pixels, 8.4 million: larger images are translated in tiles if nobody says otherwise


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
    tile: int | None = None,
    exact: bool = True,
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
        tile: pixels that a side of a tile has, 0 for none; by default images of more than 8.4 million pixels are
            translated in tiles of 1024 where the networks allow it.
        exact: of tiles, see `Translator.translate_in_tiles`.

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
        for index, image in enumerate(_translated(translator, x, route, codes, batch, tile, exact)):
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
    if max(styles, interpolate) > MOST_STYLES:
        raise UsageError(f"{max(styles, interpolate):,} styles of one input", fix=f"at most {MOST_STYLES:,} are made")
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


def _translated(
    translator: Translator, x: Tensor, route: str, codes: Tensor | None, batch: int | None, tile: int | None,
    exact: bool,
) -> Iterator[Tensor]:  # fmt: skip
    """3,H,W for each code."""
    side = _automatic(translator, x, route) if tile is None else tile
    if not side:
        yield from translator.translations(x, route, codes, batch=batch)
        return
    for code in [None] if codes is None else torch.split(codes, 1):
        given: dict[str, Any] = {} if code is None else {str(translator.latent(route)): code}
        yield translator.translate_in_tiles(x, route, tile=side, exact=exact, **given)[0]


def _automatic(translator: Translator, x: Tensor, route: str) -> int:
    if x.shape[-2] * x.shape[-1] <= LARGE:
        return 0
    try:
        _ = translator.tiling(route).halo
    except UsageError:  # as a whole, if memory allows
        return 0
    return TILE


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
