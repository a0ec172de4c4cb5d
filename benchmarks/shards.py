"""What waiting for shards costs a run on a slow server, when the cache holds the shards read, or the next ones too.

    python -m i2i_forge_benchmarks.shards --out benchmarks/results

The server is ours, on the loopback address, and lets every request wait; a step is a pause. So what is compared is when
shards are asked for, not how fast this machine is.
"""

from __future__ import annotations

import functools
import http.server
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import numpy as np
from PIL import Image

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.packs import pack, plan_pack
from i2i_forge.data.stream import Stream, batches
from i2i_forge_benchmarks.shared import out_option, publish

IMAGES, SHARDS, MIX, BATCH = 800, 16, 2, 4


@click.command()
@click.option("--delay", default=1.0, show_default=True, help="Seconds that the server takes for a shard.")
@click.option("--step", default=0.1, show_default=True, help="Seconds of a training step.")
@click.option("--workers", default=2, show_default=True, help="Processes that prepare images.")
@out_option
def main(delay: float, step: float, workers: int, out: Path | None) -> None:
    """Measure the waiting of an epoch."""
    with tempfile.TemporaryDirectory() as work:
        total, address = _packed(Path(work))
        lines = [
            f"{SHARDS} shards, of which {MIX} are mixed; an epoch of {IMAGES // BATCH} batches of {BATCH}; {workers} "
            f"data workers. One shard after the other would take {SHARDS * delay:g} s, the steps take "
            f"{IMAGES // BATCH * step:g} s.",
            "",
            "| the cache holds | waiting for batches in all, s | the longest, s | later than the first batch, s |",
            "| --- | --- | --- | --- |",
        ]
        for what, share in {"the shards that are read": 1.5, "the next ones too": 2.5}.items():
            with _serving(Path(work) / "packed", delay) as url, tempfile.TemporaryDirectory() as cache:
                os.environ |= {"FORGE_CACHE": cache, "no_proxy": "127.0.0.1"}
                waits = _epoch(url + address, share * MIX * total / SHARDS / 1e9, step, workers)
            lines.append(f"| {what} | {sum(waits):.1f} | {max(waits):.1f} | {sum(waits[1:]):.1f} |")
    publish("shards", f"Waiting for shards of {delay:g} s, steps of {step:g} s", lines, out)


def _packed(work: Path) -> tuple[int, str]:
    """Bytes of all shards of pairs, and the pattern of their names."""
    random = np.random.default_rng(0)
    for folder in ("trainA", "trainB"):
        (work / "in" / folder).mkdir(parents=True)
        for number in range(IMAGES):
            Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(work / f"in/{folder}/{number:04d}.png")
    each = 2 * sum(file.stat().st_size + 1024 for file in (work / "in/trainA").iterdir()) // SHARDS
    made = pack(plan_pack(work / "in"), work / "packed", shard_bytes=each)
    return sum(shard.bytes for shard in made.shards), f"/train-{{000000..{len(made.shards) - 1:06d}}}.tar"


class _Slow(http.server.SimpleHTTPRequestHandler):
    delay = 0.0

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.endswith(".tar"):
            time.sleep(self.delay)
        super().do_GET()


@contextmanager
def _serving(folder: Path, delay: float) -> Iterator[str]:
    handler = type("Slow", (_Slow,), {"delay": delay})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _epoch(shards: str, cache_gb: float, step: float, workers: int) -> list[float]:
    """Seconds that each batch of an epoch was waited for."""
    made = load_plugins().catalog.datasets.get("webdataset")
    data = made(shards=shards, mix=MIX, cache_gb=cache_gb, size=16, packed=True)
    stream = Stream(data.sources("train"), batch=BATCH, seed=0)
    waits: list[float] = []
    with closing(batches({"main": stream}, 0, IMAGES // BATCH, workers=workers, pin=False)) as values:
        while len(waits) < IMAGES // BATCH:
            began = time.perf_counter()
            next(values)
            waits.append(time.perf_counter() - began)
            time.sleep(step)
    return waits


if __name__ == "__main__":
    main()
