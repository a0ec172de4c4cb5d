"""The reader of our own checkpoints, and what puts one into a trainer.

An input holds the four files of a checkpoint. If its manifest is `{}`, a right one is made, as anybody can make one: it
tells damage from what was written, not friend from foe.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from random import Random

import torch
from safetensors.torch import load, save
from torch import nn

from i2i_forge.engine.optimizers import OptimizerEntry, RoleOptimizer
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.terms import parse_weight
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import reading, restoring
from i2i_forge.system import tensor_files
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_benchmarks.fuzz_targets.mutation import changed

NAMES = (checkpoint.MANIFEST, "state.json", "model.safetensors", "optimizers.safetensors")
BETWEEN = b"\n==========\n"


def trainer() -> Trainer:
    """A trainer of one tiny network, which has taken a step."""
    network = nn.Linear(2, 1)
    parameters = dict(network.named_parameters())
    optimizer = RoleOptimizer(parameters, rule="adam", lr=1e-3, schedule=parse_weight(1.0), options={})
    made = Trainer({"role": {"shared": network}}, [], [OptimizerEntry("default", {"role": optimizer})])
    _step(made)
    return made


def _step(made: Trainer) -> None:
    made.networks["role"]["shared"](torch.ones(1, 2)).sum().backward()
    made.optimizers[0].roles["role"].step(0)


def read(data: bytes) -> None:
    """Read it as a checkpoint, put it into a trainer, and train on."""
    parts = data.split(BETWEEN)
    files = dict(zip(NAMES, [*parts, b"", b"", b"", b""][:4], strict=True))
    if files[checkpoint.MANIFEST] == b"{}":
        files[checkpoint.MANIFEST] = _manifest(files)
    with tempfile.TemporaryDirectory() as place:
        (folder := Path(place, "step-00000003")).mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        found = checkpoint.newest(Path(place), lambda note: None)
        assert found is not None
        made = trainer()
        checkpoint.restore(found, made)
        _step(made)


def _manifest(files: dict[str, bytes]) -> bytes:
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    try:
        version = json.loads(files["state.json"])["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        version = checkpoint.FORMAT_VERSION
    return json.dumps({"format": version, "files": sums}).encode()


def seeds() -> list[bytes]:
    """A good checkpoint, with its manifest and to be given one, and files that are not as they should be."""
    made = trainer()
    state = json.dumps({"step": 3, "format": checkpoint.FORMAT_VERSION, "images": 6}).encode()
    model, optimizers = save(made.state_dict()), save(made.optimizer_state())
    good = (state, model, optimizers)
    signed = _manifest(dict(zip(NAMES, (b"", *good), strict=True)))
    other = save({"role.weight": torch.full((1, 2), torch.nan), "role.bias": torch.zeros(1, dtype=torch.int8)})
    return [
        BETWEEN.join(files)
        for files in ((b"{}", *good), (signed, *good), (b"{}", state, other, optimizers), (b"{}", b"[]", model, b""),
                      (b"{}", b'{"step": 1e99, "format": 9}', model, model), (b"[[", *good), (b"", b"", b"", b""))
    ]  # fmt: skip


def mutate(data: bytes, random: Random) -> bytes:
    """Change one of the files; of those with tensors the tensors, or the header, which gets its right length."""
    parts = data.split(BETWEEN)
    if len(parts) != 4:
        return changed(data, [data], TOKENS, random)
    at = random.randrange(1, 4)
    if at == 1:
        parts[1] = changed(parts[1], [data], TOKENS, random)
    elif random.random() < 0.5:
        parts[at] = _other_tensors(parts[at], random)
    else:
        length = int.from_bytes(parts[at][:8], "little")
        header = changed(parts[at][8 : 8 + length], [data], TOKENS, random)
        parts[at] = len(header).to_bytes(8, "little") + header + parts[at][8 + length :]
    return BETWEEN.join(parts)


def _other_tensors(data: bytes, random: Random) -> bytes:
    """One tensor more, less, or of another shape and type."""
    try:
        tensors = load(data)
    except Exception:
        return data
    name = random.choice([*tensors, "role.weight", "role|weight|exp_avg", "role|bias|other", "x|y|z", "", "é" * 50])
    if random.random() < 0.3:
        tensors.pop(name, None)
        return save(tensors)
    shape = [random.choice((0, 1, 2, 3, 1000)) for _ in range(random.randrange(4))]
    kind = random.choice((torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.complex64))
    if torch.Size(shape).numel() < 10_000:
        tensors[name] = torch.full(shape, random.choice((0, 1, -1, 1e30, torch.inf, torch.nan))).to(kind)
    return save(tensors)


TOKENS = (
    b'"dtype":"F32"', b'"F64"', b'"I8"', b'"BOOL"', b'"BF16"', b'"F8_E4M3"', b'"U64"', b'"shape":[', b"[1,2]", b"[0]",
    b"[]", b"[2,2]", b'"data_offsets":[0,8]', b"[8,12]", b"[18446744073709551615,0]", b"1e999", b"-1", b"NaN", b"null",
    b"true", b'"role.weight"', b'"role.bias"', b'"role|weight|exp_avg"', b'"role|weight|step"', b'"role||"',
    b'"__metadata__":{}', b'"format":1', b'"step":', b"9" * 5000, b"[" * 2000, b"\xff", b"\0", b'"\\ud800"', b",",
    b":", b"{", b"}", BETWEEN,
)  # fmt: skip
MODULES = (reading, restoring, tensor_files)
TARGET = Target(read, seeds, modules=MODULES, tokens=TOKENS, mutate=mutate, megabytes=256)
