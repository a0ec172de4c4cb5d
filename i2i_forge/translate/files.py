"""Translating image files and folders to PNG files and a sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from i2i_forge.data.decode import decode
from i2i_forge.data.file_checks import BadImage
from i2i_forge.data.folders import list_images
from i2i_forge.data.images import save_png, sheet
from i2i_forge.data.stream import spread
from i2i_forge.data.transforms import Transform, to_tensor
from i2i_forge.errors import DataError
from i2i_forge.system.outputs import marked, refuse_to_replace
from i2i_forge.translate.translator import Translator

ON_SHEET = 24  # rows: a sheet is for looking at
MOST_COLUMNS = 12  # of translations
MARK = "forge translate"  # in the PNG files, which a later translation may replace


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
    wanted, unique = {name for _, name in found}, dict[str, Path]()
    for path, name in found:
        others = (f"{name}-{number}" for number in itertools.count(2))
        free = name if name not in unique else next(n for n in others if n not in unique.keys() | wanted)
        unique[free] = path
    return [(path, name) for name, path in unique.items()]


def translate_files(
    translator: Translator, inputs: list[Path], out: Path, *, route: str = "ab", styles: int = 1,
    reference: Path | None = None, interpolate: int = 0, seed: int = 0, batch: int | None = None,
    tile: int | None = None, exact: bool = True, resize: int | None = None,
    progress: Callable[[int, int], None] | None = None, skip: Callable[[BadImage], None] | None = None,
) -> list[Path]:  # fmt: skip
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
        resize: pixels that the shorter side of every image gets first, as in training; by default it stays as it is.
        skip: is told of each image that cannot be used, and the others are translated; without it that is an error.

    Returns:
        The files, the sheet last.

    Raises:
        UsageError: an input, or a file that no translation wrote, would be replaced; nothing is written then.
        DataError: an image cannot be used, or with `skip` none can.
    """
    found = find_inputs(inputs)
    codes = translator.codes(route, styles, reference, interpolate, seed)
    ends = numbered(1 if codes is None else len(codes))
    outputs = [[out / f"{name}{end}.png" for end in ends] for _, name in found]
    read = [path for path, _ in found] + ([reference] if reference else [])
    refuse_to_replace([*itertools.chain(*outputs), out / "sheet.png"], marked(MARK), read)
    written: list[Path] = []
    rows: list[list[Tensor]] = []
    on_sheet = set(spread(ON_SHEET, len(found)))
    for number, ((path, _), files) in enumerate(zip(found, outputs, strict=True)):
        if (x := _read(path, resize, skip)) is not None:
            row = [shrunk(x[0])]
            images = translator.translations(x, route, codes, batch=batch, tile=tile, exact=exact)
            for file, image in zip(files, images, strict=True):
                save_png(image, file, MARK)
                row += [shrunk(image)] if len(row) <= MOST_COLUMNS else []
            written += files
            rows += [row] if number in on_sheet or not rows else []
        if progress:
            progress(number + 1, len(found))
    if not written:
        raise DataError(f"none of the {len(found)} images can be used", fix="see the warnings above")
    labels = ["input", *style_labels(codes, reference, interpolate)]
    save_png(sheet(rows, labels), out / "sheet.png", MARK)
    return [*written, out / "sheet.png"]


def _read(path: Path, resize: int | None, skip: Callable[[BadImage], None] | None) -> Tensor | None:
    """1,3,H,W; None of an image that is skipped."""
    try:
        image = decode(path)
        return (Transform(resize, test_crop=False)(image, None) if resize else to_tensor(image))[None]
    except BadImage as error:
        if skip is None:
            raise
        skip(error)
        return None


def shrunk(image: Tensor) -> Tensor:
    """3,H,W for a sheet: large images shrunk, so that those of many inputs can be kept."""
    times = max(image.shape[1:]) // 512
    return F.avg_pool2d(image, times, ceil_mode=True) if times > 1 else image


def numbered(count: int) -> list[str]:
    """What the translations of one input with so many codes have at the end of their names: -00, -01, in order."""
    digits = max(2, len(str(count - 1)))
    return [f"-{number:0{digits}d}" for number in range(count)]


def style_labels(codes: Tensor | None, reference: Path | None, interpolate: int) -> list[str]:
    """Of the columns of a sheet, one for each code as far as there is room."""
    if codes is None:
        return ["translation"]
    if interpolate:
        labels = [f"{number / max(interpolate - 1, 1):.0%}" for number in range(interpolate)]
    else:
        labels = ["reference style"] if reference else [f"style {number}" for number in range(len(codes))]
    return labels[:MOST_COLUMNS]
