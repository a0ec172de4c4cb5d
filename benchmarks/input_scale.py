"""A folder of a million images: building its index, opening it again; and decoding, beside torchvision's ImageFolder.

    python -m i2i_forge_benchmarks.input_scale --out benchmarks/results

The million are links to small JPEGs, in folders of 1000. What is decoded are renderings of the data set
procedural_shoes, JPEG of quality 90.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data import ImageSource, Transform, check_images, list_images
from i2i_forge.data.stream import Stream
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge_benchmarks.shared import alone, in_turn, out_option, publish, ratio, timed

IN_A_FOLDER = 1000
SIDES = (256, 512)  # of the images that are decoded
RESIZE, CROP, BATCH, OPENED = 286, 256, 4, 8
PARTS = ("list", "headers", "first batch", "batch in the middle")


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="Files in the large folder.")
@click.option("--images", default=100, show_default=True, help="Images of each size that are decoded.")
@click.option("--rounds", default=9, show_default=True, help="Measurements of decoding, in turn.")
@click.option("--place", type=click.Path(path_type=Path), help="Where the temporary folder is made.")
@out_option
@click.option("--opened", type=click.Choice(["forge", "ImageFolder"]), hidden=True)
def main(count: int, images: int, rounds: int, place: Path | None, out: Path | None, opened: str | None) -> None:
    """Measure, print the page and write it."""
    if opened and place:
        click.echo(json.dumps(_opening(opened, place)))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=place) as root:
        lines = [
            *_index(Path(root), count),
            *_decoding(Path(root), images, rounds),
        ]
    publish("input_scale", f"Input at scale: {count:,} files", lines, out, "torchvision", "pillow")


def _index(root: Path, count: int) -> list[str]:
    click.echo(f"making {count:,} files ...", err=True)
    folder = root / "many"
    make_files(folder, count)
    rows = []
    for name, what in (("first time", "forge"), ("again", "forge"), ("ImageFolder", "ImageFolder")):
        click.echo(f"{name} ...", err=True)
        settings = {"FORGE_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1"}
        found = alone("input_scale", f"--opened={what}", f"--place={folder}", **settings)
        seconds = (f"{found[part]:.3g}" if part in found else "" for part in PARTS)
        rows.append(f"| {name} | {' | '.join(seconds)} | {found['peak'] / 1e6:.0f} | {found['held'] / 1e6:.0f} |")
    kept = sum(file.stat().st_size for file in (root / "cache").rglob("*.npz"))
    return [
        "Each row is a process of its own, after the files were made. `headers` opens each file the first time, later",
        "it only asks for sizes and times. MB are what the process holds beyond its imports. ImageFolder lists, and",
        f"checks nothing. The file in the cache has {kept / 1e6:.0f} MB.\n",
        f"| | {', s | '.join(PARTS)}, s | MB at the peak | MB after |",
        f"|---|{'---|' * (len(PARTS) + 2)}",
        *rows,
        "",
    ]


def make_files(folder: Path, count: int) -> None:
    """Small JPEGs in sub-folders; those of one are links to one file, as file systems bound the links to a file."""
    random = np.random.default_rng(0)
    for number, first in enumerate(range(0, count, IN_A_FOLDER)):
        sub = folder / f"{number:04d}"
        sub.mkdir(parents=True)
        image = sub / f"image_{first}.jpg"
        Image.fromarray(random.integers(256, size=(16, 16 + number % 9, 3), dtype=np.uint8)).save(image)
        for each in range(first + 1, min(first + IN_A_FOLDER, count)):
            os.link(image, f"{sub}/image_{each}.jpg")


def _opening(what: str, folder: Path) -> dict[str, float]:
    """Seconds of each part; bytes at the peak and after, beyond what this process held before."""
    before = memory("VmRSS")
    forget_peak()
    found, held = _forge(folder) if what == "forge" else _image_folder(folder)
    assert held is not None  # while the memory is measured
    return {**found, "peak": memory("VmHWM") - before, "held": memory("VmRSS") - before}


def _forge(folder: Path) -> tuple[dict[str, float], object]:
    seconds = {}
    seconds["list"], paths = timed(lambda: list_images(folder))
    seconds["headers"], good = timed(lambda: check_images(paths).paths)
    stream = Stream([ImageSource("a", good, Transform(16))], batch=OPENED, seed=0)
    seconds["first batch"], _ = timed(lambda: stream.batch(0))
    seconds["batch in the middle"], _ = timed(lambda: stream.batch(len(good) // OPENED // 2))
    return seconds, stream


def _image_folder(folder: Path) -> tuple[dict[str, float], object]:
    seconds, found = timed(lambda: ImageFolder(str(folder)))
    return {"list": seconds}, found


def _decoding(root: Path, count: int, rounds: int) -> list[str]:
    rows = []
    for side in SIDES:
        folder = root / f"decoded-{side}"
        _draw(folder / "class", side, count)
        seconds = [times[1:] for times in in_turn(_ways(folder, count), rounds + 1)]  # the first does not count
        speeds = [f"{count / statistics.median(times):.0f}" for times in seconds]
        one, batched = (
            f"{' | '.join(speeds[at : at + 2])} | {ratio(seconds[at + 1], seconds[at]):.2f}" for at in (0, 2)
        )
        size = sum(file.stat().st_size for file in (folder / "class").iterdir()) / count / 1000
        rows.append(f"| {side}x{side}, {size:.0f} kB | {one} | {batched} |")
    return [
        f"Decoding to tensors on one thread: flip, resize to {RESIZE}, random crop of {CROP}, values to [-1, 1].",
        f"Images/s, medians of {rounds} rounds of {count} images in turn; the ratio is the median of theirs.",
        f"One by one, and in shuffled batches of {BATCH}:\n",
        "| images | ImageSource | ImageFolder | ratio | Stream | DataLoader of ImageFolder | ratio |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _draw(folder: Path, side: int, count: int) -> None:
    folder.mkdir(parents=True)
    shoes = load_plugins().catalog.datasets.get("procedural_shoes")(size=side)
    for index in range(count):
        Image.fromarray(shoes.photo("train", index)).save(folder / f"{index}.jpg", quality=90)


def _ways(folder: Path, count: int) -> list[Callable[[], object]]:
    """The same images, decoded by our source, by torchvision, by our stream, and by torch's loader."""
    source = ImageSource("a", list_images(folder), Transform(CROP, RESIZE))
    stream, random = Stream([source], batch=BATCH, seed=0), torch.Generator().manual_seed(0)
    steps = [
        transforms.RandomHorizontalFlip(),
        transforms.Resize(RESIZE),
        transforms.RandomCrop(CROP),
        transforms.ToTensor(),
        transforms.Normalize((0.5,) * 3, (0.5,) * 3),
    ]
    theirs = ImageFolder(str(folder), transforms.Compose(steps))
    return [
        lambda: [source.example(index, random) for index in range(count)],
        lambda: [theirs[index] for index in range(count)],
        lambda: [stream.batch(step) for step in range(count // BATCH)],
        lambda: list(DataLoader(theirs, BATCH, shuffle=True, drop_last=True)),
    ]


if __name__ == "__main__":
    main()
