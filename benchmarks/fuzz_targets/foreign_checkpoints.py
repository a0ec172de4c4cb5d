"""The reader of other programs' checkpoints, and the layouts that say what is in them. No pickle may run code."""

from __future__ import annotations

import io
import pickle
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.catalog.registry import Registry
from i2i_forge.errors import CheckpointError
from i2i_forge.run import foreign
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_benchmarks.fuzz_targets.mutation import changed, zip_of

_watching: list[bool] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "exec", "socket.connect"):
        raise AssertionError(f"{event}: {str(arguments)[:80]}")


@cache
def layouts() -> Registry[Any]:
    """The layouts of the built-in plugins."""
    return load_plugins().catalog.formats


def read(data: bytes) -> None:
    """Read it, and ask each layout what it is."""
    known = layouts()
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(data)
        file.flush()
        _watching.append(True)
        try:
            content = foreign.read_foreign(file.name)
        except CheckpointError as error:
            raise error from error.__context__  # torch's own, by which the search knows new ways to fail
        finally:
            _watching.clear()
        refused = None
        for entry in known.entries():
            reader = entry.component()
            try:
                reader.networks({reader.part_of(content, Path(file.name).name): content})
            except CheckpointError as error:
                refused = error
        if refused:
            raise refused


def seeds() -> list[bytes]:
    """State dicts as torch writes and wrote them, and what is no checkpoint."""
    tensors = {"model.0.weight": torch.zeros(2, 3), "model.0.bias": torch.zeros(2), "n": torch.tensor(1)}
    nested = {"a": tensors, "b": dict(tensors), "epoch": 3, "note": "x", "lr": 1e-4}
    found = [_saved(content) for content in (tensors, nested, [1, None], torch.zeros(1), {"x": {1: (2, "a")}})]
    found += [_saved(tensors, _use_new_zipfile_serialization=False)]
    for entry in layouts().entries():  # what makes each layout look closer
        reader = entry.component()
        found += [_saved({part: tensors, "a": tensors, "b": tensors}) for part in reader.parts]
    bomb = b"cos\nsystem\n(S'true'\ntR."
    packed = zip_of({"archive/data.pkl": bomb, "archive/version": b"3"}, zipfile.ZIP_STORED)
    return [*found, bomb, packed, pickle.dumps({"a": 1}), b"<!DOCTYPE html>", b"", b"words\n"]


def _saved(content: Any, **options: Any) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, **options)
    return target.getvalue()


def mutate(data: bytes, random: Random) -> bytes:
    """Change a file within the zip that torch writes, and pack it again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            files = {name: zipped.read(name) for name in zipped.namelist()[:50]}
    except Exception:
        return changed(data, [data], TOKENS, random)
    names = [name for name in files if name.endswith("data.pkl")] if random.random() < 0.8 else list(files)
    name = random.choice(names or ["archive/data.pkl"])
    files[name] = changed(files.get(name, b""), [data], TOKENS, random)
    return zip_of(files, zipfile.ZIP_STORED)


TOKENS = (
    b"cos\nsystem\n", b"c__builtin__\neval\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
    b"ctorch\nload\n", b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\ndevice\n",
    b"R.", b"Q", b"}q\x00", b"(", b"t", b"\x80\x02", b"J\xff\xff\xff\x7f", b"K\x00", b"\x8a\x08" + b"\xff" * 8,
    b"X\x07\0\0\0storage", b"X\x03\0\0\0cpu", b"X\x04\0\0\0meta", b"X\x06\0\0\0cuda:9", b"u.", b"s.", b"b.", b"N",
    b"model.0.weight", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06",
)  # fmt: skip
sys.addaudithook(_watch)
TARGET = Target(read, seeds, modules=(foreign,), tokens=TOKENS, mutate=mutate, megabytes=512)
