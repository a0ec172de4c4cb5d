"""The data set as folders of PNG files with a list of modes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from i2i_forge.errors import DataError

if TYPE_CHECKING:
    from . import ProceduralShoes


def write_folders(dataset: ProceduralShoes, out: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """trainA, trainB, testA, testB and modes.csv (file, family, mode, mode_name: a line for each file of B).

    Paired files have the same name in A and B.

    Raises:
        DataError: a folder or a file cannot be written.
    """
    try:
        _write(dataset, out, progress)
    except OSError as error:
        raise DataError(
            f"{out}: cannot write the data set: {error}", fix="choose a folder that can be written"
        ) from error


def _write(dataset: ProceduralShoes, out: Path, progress: Callable[[int, int], None] | None) -> None:
    draw = {"a": dataset.drawing, "b": dataset.photo}
    sources = [source for split in ("train", "test") for source in dataset.sources(split)]
    total, done, lines = sum(len(source) * len(source.domains) for source in sources), 0, []
    for source in sources:
        folders = {domain: f"{source.split}{domain.upper()}" for domain in source.domains}
        for folder in folders.values():
            (out / folder).mkdir(parents=True, exist_ok=True)
        for index in range(len(source)):
            shoe, name = source.shoe(index), source.name(index)
            for domain, folder in folders.items():
                Image.fromarray(draw[domain](source.split, shoe)).save(out / folder / name)
                done += 1
                if progress is not None:
                    progress(done, total)
            if "b" in folders:
                mode, family = dataset.mode(source.split, shoe), dataset.family(source.split, shoe)
                lines.append((f"{folders['b']}/{name}", family, mode, dataset.MODES[mode]))
    with (out / "modes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "family", "mode", "mode_name"))
        writer.writerows(lines)
