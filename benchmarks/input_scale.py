"""A folder of a million images: building its index, opening it again; and decoding, beside torchvision's ImageFolder.

    python -m i2i_forge_benchmarks.input_scale --out benchmarks/results

The million are links to small JPEGs, in folders of 1000. What is decoded are renderings of the data set
procedural_shoes, JPEG of quality 90.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data import ImageSource, Transform, list_images
from i2i_forge.data.stream import Stream
from i2i_forge_benchmarks.machine import provenance

IN_A_FOLDER = 1000
SIDES = (256, 512)  # of the images that are decoded
RESIZE, CROP, BATCH = 286, 256, 4
PARTS = ("list", "headers", "first batch", "batch in the middle")


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="Files in the large folder.")
@click.option("--images", default=100, show_default=True, help="Images of each size that are decoded.")
@click.option("--rounds", default=9, show_default=True, help="Measurements of decoding, in turn.")
@click.option("--place", type=click.Path(path_type=Path), help="Where the temporary folder is made.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page.")
def main(count: int, images: int, rounds: int, place: Path | None, out: Path | None) -> None:
    """Measure, print the page and write it."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=place) as root:
        lines = [
            f"# Input at scale: {count:,} files\n",
            *provenance("input_scale", "torchvision", "pillow"),
            *_index(Path(root), count),
            *_decoding(Path(root), images, rounds),
        ]
    text = "\n".join(lines) + "\n"
    click.echo(text)
    if out:
        (out / f"input-scale-{datetime.date.today()}-cpu.md").write_text(text)


def _index(root: Path, count: int) -> list[str]:
    click.echo(f"making {count:,} files ...", err=True)
    folder = root / "many"
    make_files(folder, count)
    rows = []
    for name, what in (("first time", "forge"), ("again", "forge"), ("ImageFolder", "ImageFolder")):
        click.echo(f"{name} ...", err=True)
        found = _measured(what, folder, root / "cache")
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


def _measured(what: str, folder: Path, cache: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "i2i_forge_benchmarks.index_cost", what, str(folder)]
    settings = {**os.environ, "FORGE_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=settings)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def _decoding(root: Path, count: int, rounds: int) -> list[str]:
    rows = []
    for side in SIDES:
        folder = root / f"decoded-{side}"
        _draw(folder / "class", side, count)
        seconds = in_turn(_ways(folder, count), rounds)
        speeds = [f"{count / statistics.median(times):.0f}" for times in seconds]
        one, batched = (
            f"{' | '.join(speeds[at : at + 2])} | {_ratio(seconds[at + 1], seconds[at]):.2f}" for at in (0, 2)
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


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def in_turn(ways: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each way, one after the other, so that a busy machine is busy for all; the first does not count."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, found in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            way()
            found.append(time.perf_counter() - began)
    return [found[1:] for found in seconds]


if __name__ == "__main__":
    main()
