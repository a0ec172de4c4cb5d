"""Packs beside folders: how long packing takes, what opening a million entries costs, and how fast images are read.

    python -m i2i_forge_benchmarks.packs --out benchmarks/results

The images are hard links of a few drawn photographs, so both ways read from memory: what is compared is the work of the
program and of the file system, not of a disk. Folders lose more where files are not in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data import decode, list_images
from i2i_forge.data.packs import MANIFEST, Manifest, Pack, PartOf, Seal, Shard, pack, plan_pack
from i2i_forge.data.packs.manifest import INDEX, write_manifest
from i2i_forge.data.packs.table import ALONE, ROW, write_table
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge_benchmarks.shared import alone, in_turn, out_option, publish, ratio, timed

DISTINCT, SIDE, READ, LENGTH = 50, 128, 4000, 4096


@click.command()
@click.option("--images", default=100_000, show_default=True, help="How many are packed.")
@click.option("--entries", default=1_000_000, show_default=True, help="Of the index that is opened.")
@click.option("--rounds", default=5, show_default=True, help="Measurements of reading, in turn.")
@click.option("--work", type=click.Path(path_type=Path), help="A folder for the images; by default a temporary one.")
@out_option
@click.option("--open", "opened", type=click.Path(path_type=Path), hidden=True)
def main(images: int, entries: int, rounds: int, work: Path | None, out: Path | None, opened: Path | None) -> None:
    """Measure packing and reading."""
    if opened:
        click.echo(json.dumps(_opening(opened)))
        return
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        lines = _measured(folder, images, rounds)
        _million(folder / "large", entries)
        found = [alone("packs", "--open", str(folder / "large")) for _ in range(3)]
        seconds = statistics.median(once["seconds"] for once in found)
        held = statistics.median(once["memory"] for once in found) / 1e6
        size = (folder / "large" / INDEX).stat().st_size / 1e6
        lines += [
            f"- opening {entries:,} entries, checksum and bounds included (a new process, median of {len(found)}): "
            f"{seconds:.2f} s; peak memory {held:.0f} MB above that before, the index of {size:.0f} MB included, which "
            "forked workers share",
        ]
    finally:
        shutil.rmtree(folder)
    publish("packs", f"Packs beside folders, {images:,} images", lines, out)


def _measured(folder: Path, images: int, rounds: int) -> list[str]:
    _fill(folder / "in", images)
    planning, plan = timed(lambda: plan_pack(folder / "in", pairs=False))
    packing, manifest = timed(lambda: pack(plan, folder / "packed"))
    size = sum(shard.bytes for shard in manifest.shards)
    total = len(plan)
    found, paths = Pack(folder / "packed"), list_images(folder / "in/trainA")
    chosen = np.random.default_rng(0).integers(len(paths), size=READ).tolist()
    lines = [
        f"- {total:,} JPEGs of {SIDE}x{SIDE}, hard links of {DISTINCT} drawings, {size / total / 1e3:.1f} kB each",
        f"- finding them and reading their headers: {planning:.1f} s",
        f"- packing, {len(manifest.shards)} shards, checksums and syncing included: {packing:.1f} s, "
        f"{total / packing:,.0f} images/s, {size / 1e6 / packing:.0f} MB/s",
        "",
        f"Random access to {READ:,} images, in turn, medians of {rounds}; the ratio is the median of those of a turn.",
        "",
        "| | from the pack, images/s | from files, images/s | time of the pack / of files |",
        "| --- | --- | --- | --- |",
    ]
    ways: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "bytes": (found.read, lambda index: paths[index].read_bytes()),
        "decoded": (lambda index: decode(found.image(index)), lambda index: decode(paths[index])),
    }
    for what, (from_pack, from_files) in ways.items():
        ours, theirs = in_turn([partial(_read, way, chosen) for way in (from_pack, from_files)], rounds)
        speeds = (f"{READ / statistics.median(times):,.0f}" for times in (ours, theirs))
        lines.append(f"| {what} | {' | '.join(speeds)} | {ratio(ours, theirs):.2f} |")
    return [*lines, ""]


def _read(read: Callable[[int], object], chosen: Sequence[int]) -> None:
    for index in chosen:
        read(index)


def _fill(root: Path, images: int) -> None:
    """Half of the images in trainA, half in trainB."""
    made = load_plugins().catalog.datasets.get("procedural_shoes")(size=SIDE, count=DISTINCT, test_count=1)
    (root / "distinct").mkdir(parents=True)
    for number in range(DISTINCT):
        Image.fromarray(made.photo("train", number)).save(root / f"distinct/{number}.jpg", quality=90)
    for name, count in {"trainA": images // 2, "trainB": images - images // 2}.items():
        (root / name).mkdir()
        for number in range(count):
            os.link(root / f"distinct/{number % DISTINCT}.jpg", root / name / f"{number}.jpg")


def _million(folder: Path, entries: int) -> None:
    """A pack whose index is real and whose shards are holes."""
    folder.mkdir()
    per_shard = 60_000
    rows = np.zeros(entries, ROW)
    number = np.arange(entries)
    rows["shard"], rows["offset"] = number // per_shard, number % per_shard * LENGTH
    rows["length"], rows["width"], rows["height"], rows["partner"] = LENGTH, SIDE, SIDE, ALONE
    names = [f"trainA/images of the year/{name:09d}.jpg".encode() for name in range(entries)]
    index = Seal(*write_table(folder / INDEX, rows, names))
    shards = [Shard(f"train-a-{n:06d}.tar", per_shard * LENGTH, "0" * 64) for n in range(int(rows["shard"][-1]) + 1)]
    for shard in shards:
        with (folder / shard.name).open("wb") as file:
            file.truncate(shard.bytes)
    half = entries // 2
    parts = {"train_a": PartOf("trainA", 0, half), "train_b": PartOf("trainB", half, entries - half)}
    write_manifest(folder / MANIFEST, Manifest("two_folders", False, entries, parts, shards, index))


def _opening(folder: Path) -> dict[str, float]:
    """What opening a pack and looking at a thousand rows costs this process."""
    before = memory("VmRSS")
    forget_peak()
    began = time.perf_counter()
    found = Pack(folder)
    names = {found.image(row).name for row in np.random.default_rng(0).permutation(len(found.table))[:1000].tolist()}
    assert len(names) == 1000
    return {"seconds": time.perf_counter() - began, "memory": memory("VmHWM") - before}


if __name__ == "__main__":
    main()
