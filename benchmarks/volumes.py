"""Measured images: reading a slice, beside the reference library of each format; and the memory of many volumes.

    python -m i2i_forge_benchmarks.volumes --out benchmarks/results

Slices are 512x512, 16 bit, like CT with noise. The many volumes are sparse files: nothing but holes is read of them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.case_source import CaseSource, case_transform
from i2i_forge.data.cases import find_cases
from i2i_forge.data.domains import Domains
from i2i_forge.data.file_formats import Files
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stream import Stream
from i2i_forge.data.volumes import Volume
from i2i_forge.recipe.domains import Domain
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge_benchmarks.shared import alone, in_turn, out_option, publish, ratio, timed

SIDE, DEPTH, LONG = 512, 64, 300  # pixels; slices of the volumes that are read, and of the many
HU = Domain.model_validate({"unit": "HU", "range": [-1024, 3071]})
MASK = Domain.model_validate({"kind": "labels"})
HEADER = "ObjectType = Image\nNDims = 3\nDimSize = {0} {0} {1}\nElementSpacing = 1 1 1\nElementType = {2}\n"
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (("raw", {}), ("deflate", {"compression": "zlib", "predictor": 2}))
Reading = tuple[str, str, Callable[[int], Any], Callable[[int], Any]]  # name, library, ours and theirs


@click.command()
@click.option("--slices", default=200, show_default=True, help="Slices that are read in each way, in turn.")
@click.option("--volumes", default=100, show_default=True, help="Cases of two volumes and a mask.")
@click.option("--place", type=click.Path(path_type=Path), help="Where the temporary folder is made.")
@out_option
@click.option("--train", is_flag=True, hidden=True)
def main(slices: int, volumes: int, place: Path | None, out: Path | None, train: bool) -> None:
    """Measure, print the page and write it."""
    torch.set_num_threads(1)
    if train and place:
        click.echo(json.dumps(_batches(place)))
        return
    with tempfile.TemporaryDirectory(dir=place) as root:
        lines = [*_reading(Path(root), slices), *_memory(Path(root), volumes)]
    publish("volumes", "Measured images", lines, out, "tifffile", "nibabel", "pydicom", "numpy")


def _reading(root: Path, slices: int) -> list[str]:
    draws = np.random.default_rng(0)
    volume = np.rint(draws.normal(0, 60, (DEPTH, SIDE, SIDE))).clip(-1024, 3071).astype(np.int16)
    rows = []
    for name, library, ours, theirs in _ways(root, volume):
        assert np.array_equal(np.squeeze(ours(3)), np.squeeze(theirs(3))), name
        places = iter(draws.integers(0, DEPTH, 2 * slices).tolist())
        mine, other = in_turn([lambda: ours(next(places)), lambda: theirs(next(places))], slices)  # noqa: B023
        rows.append(f"| {name} | {1e3 * statistics.median(mine):.2f} | {library} | "
                    f"{1e3 * statistics.median(other):.2f} | {ratio(mine, other):.2f} |")  # fmt: skip
    return [
        f"The median of {slices} random slices, read in turn from files that the system holds in memory, one thread.\n",
        "| a slice of | ms | library | ms | ratio |", "|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip


def _ways(root: Path, volume: np.ndarray[Any, Any]) -> list[Reading]:
    import nibabel
    import pydicom
    import tifffile

    files = Files(load_plugins().catalog.files)
    for name, options in KINDS:
        (root / name).mkdir()
        for place, plane in enumerate(volume):
            tifffile.imwrite(root / name / f"{place}.tif", plane, **options)
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]))
    for ending in ("nii", "nii.gz"):
        nibabel.save(image, root / f"ct.{ending}")
    series = _dicom(root / "series", volume)
    nifti, packed = (Volume(files.open(root / f"ct.{e}"), ImageSpace(HU)) for e in ("nii", "nii.gz"))
    loaded: Any = nibabel.load(root / "ct.nii")
    kept = packed.planes  # decoded once
    space = ImageSpace(HU)
    return [
        *((f"TIFF, {name}, opened each time", "tifffile",
           lambda k, n=name: files.open(root / n / f"{k}.tif").read({}),
           lambda k, n=name: tifffile.imread(root / n / f"{k}.tif"))
          for name in ("raw", "deflate")),
        ("NIfTI, raw", "nibabel", lambda k: nifti.planes[k] + 0, lambda k: np.asarray(loaded.dataobj[..., k]).T),
        ("NIfTI, gzip, from the cache", "numpy", lambda k: kept[k] + 0, lambda k: volume[k] + 0),
        ("DICOM, opened each time", "pydicom", lambda k: files.open(series[k]).read({}),
         lambda k: pydicom.dcmread(series[k]).pixel_array),
        ("the same as a tensor, from the cache", "numpy",
         lambda k: space.to_values(space.to_tensor(space.filled(packed.quantity(k))[0])).round(),
         lambda k: volume[k].astype(np.float64)),
    ]  # fmt: skip


def _dicom(folder: Path, volume: np.ndarray[Any, Any]) -> list[Path]:
    import pydicom
    from pydicom.data import get_testdata_file

    folder.mkdir()
    template = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    files = []
    for place, plane in enumerate(volume):
        template.Rows, template.Columns = plane.shape
        template.SOPInstanceUID = f"{template.SeriesInstanceUID}.{place + 1}"
        template.ImagePositionPatient = [0, 0, place]
        template.PixelData = plane.tobytes()
        files.append(folder / f"{place}.dcm")
        template.save_as(files[-1])
    return files


def _memory(root: Path, volumes: int) -> list[str]:
    folder = root / "many"
    for case in range(volumes):
        (folder / str(case)).mkdir(parents=True)
        for name, kind, size in (("mr", "MET_SHORT", 2), ("ct", "MET_SHORT", 2), ("mask", "MET_UCHAR", 1)):
            head = f"{HEADER.format(SIDE, LONG, kind)}ElementDataFile = LOCAL\n".encode()
            with (folder / str(case) / f"{name}.mha").open("wb") as file:
                file.write(head)
                file.truncate(len(head) + SIDE * SIDE * LONG * size)
    found, held = _batches(folder), alone("volumes", "--train", f"--place={folder}")  # it counts, and is slow at it
    found |= {name: held[name] for name in ("own", "mapped")}
    total = volumes * LONG * SIDE * SIDE * 5 / 2**30
    row = (f"{found['opening']:.2f}", *(f"{found[name]:.2f}" for name in ("first", "again")),
           *(f"{found[name] / 1e6:.0f}" for name in ("own", "mapped")))  # fmt: skip
    return [
        f"{volumes} cases of MR, CT and mask, {SIDE}x{SIDE}x{LONG}: {total:.0f} GiB, as raw MetaImage: batches of",
        "8 crops of 256x256 from slices all over them, in one process. The first time the system finds the pages of a",
        "slice, again they are in memory. MB are beyond the imports; what is mapped is the system's: all processes",
        "share it, and it is given back when it is needed.\n",
        "| opening all headers, s | an example, ms | again, ms | MB of its own at the peak | MB with what is mapped |",
        "|---|---|---|---|---|",
        f"| {' | '.join(row)} |",
        "",
    ]


def _batches(folder: Path) -> dict[str, float]:
    """What a training process of many volumes holds, and how long an example takes."""
    catalog = load_plugins().catalog
    spaces = {"a": ImageSpace(HU), "b": ImageSpace(HU), "mask": ImageSpace(MASK)}
    domains = Domains(spaces, Files(catalog.files))
    before, own = memory("VmRSS"), memory("RssAnon")
    forget_peak()
    transform = case_transform(
        domains, ("a", "b", "mask"), size=256, resize=None, flip=True, test_crop=False, augment=None
    )
    patterns = {name: [f"{{case}}/{file}.mha"] for name, file in (("a", "mr"), ("b", "ct"), ("mask", "mask"))}
    opening, source = timed(lambda: CaseSource(find_cases(folder, patterns), list(patterns), domains, transform))
    stream, most, seconds = Stream([source], batch=8, seed=0), 0.0, list[float]()
    for step in (*range(50), *range(50)):  # what is read the second time is in memory
        seconds.append(timed(lambda: stream.batch(step))[0] / 8)  # noqa: B023
        most = max(most, memory("RssAnon"))
    first, again = (1e3 * statistics.median(part) for part in (seconds[:50], seconds[50:]))
    mapped = memory("VmHWM") - before
    return {"opening": opening, "first": first, "again": again, "own": most - own, "mapped": mapped}


if __name__ == "__main__":
    main()
