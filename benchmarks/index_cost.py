"""What it costs to open a folder of very many images: a process that input_scale.py starts and that prints JSON.

python -m i2i_forge_benchmarks.index_cost forge FOLDER
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from torchvision.datasets import ImageFolder

from i2i_forge.data import ImageSource, Transform, check_images, list_images
from i2i_forge.data.stream import Stream
from i2i_forge_benchmarks.machine import memory

BATCH = 8


@click.command()
@click.argument("what", type=click.Choice(["forge", "ImageFolder"]))
@click.argument("folder", type=click.Path(path_type=Path))
def main(what: str, folder: Path) -> None:
    """Seconds of each part; bytes at the peak and after, beyond what the process held before."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    found, held = _forge(folder) if what == "forge" else _image_folder(folder)
    assert held is not None  # while the memory is measured
    click.echo(json.dumps({**found, "peak": memory("VmHWM") - before, "held": memory("VmRSS") - before}))


def _forge(folder: Path) -> tuple[dict[str, float], object]:
    seconds = {}
    seconds["list"], paths = _timed(lambda: list_images(folder))
    seconds["headers"], good = _timed(lambda: check_images(paths).paths)
    stream = Stream([ImageSource("a", good, Transform(16))], batch=BATCH, seed=0)
    seconds["first batch"], _ = _timed(lambda: stream.batch(0))
    seconds["batch in the middle"], _ = _timed(lambda: stream.batch(len(good) // BATCH // 2))
    return seconds, stream


def _image_folder(folder: Path) -> tuple[dict[str, float], object]:
    seconds, found = _timed(lambda: ImageFolder(str(folder)))
    return {"list": seconds}, found


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    made = call()
    return time.perf_counter() - began, made


if __name__ == "__main__":
    main()
