"""Pretrained weights of other projects: the manifest of them, fetching them into the user's cache, and verifying them.

Their publishers state no SHA-256 but for its first eight digits, which torchvision and torch-fidelity put into the
file's name. 32 bits tell a damaged file from a whole one, and these weights from others; they do not withstand somebody
who exchanges the file on purpose. The whole SHA-256 is recorded when a file is fetched: beside FILE lies FILE.json, the
address it came from, bytes, SHA-256 and date. A copy that somebody put there by hand has no such record, and is
compared with the manifest only.

All were trained on ImageNet, whose own terms may bind those who use them.

The Caffe VGG16 (`vgg16_caffe.pth`), which the loss domain_invariant_perceptual reads, is not here: we know of no
address that has it as a state dict. It was published as a Torch 7 file, which its users convert.

Nothing here imports torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from i2i_forge.errors import DataError, UsageError, suggest
from i2i_forge.system.fetch.download import Progress, disk_error, download, forget, locked, note_of, offline
from i2i_forge.system.files import cache_dir, read_record, sha256_of, write_whole

TORCHVISION = "https://download.pytorch.org/models"
TORCH_FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"


@dataclass(frozen=True)
class Weights:
    """A file of pretrained weights.

    Attributes:
        name: what commands call it.
        url: where its publisher has it.
        about: which network it is.
        needed_by: the losses, metrics and commands that read it.
        licence: SPDX.
        megabytes: its size, in 10^6 bytes, rounded.
        sha256: as far as it is known: the first digits, or all 64.
    """

    name: str
    url: str
    about: str
    needed_by: str
    licence: str
    megabytes: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the cache, which is that at its publisher's."""
        return self.url.rpartition("/")[2]

    @property
    def largest(self) -> int:
        """Bytes that it may have: what comes is given up there."""
        return (self.megabytes + 1) * 1_100_000


MANIFEST: Mapping[str, Weights] = {
    entry.name: entry
    for entry in (
        Weights(
            "alexnet", f"{TORCHVISION}/alexnet-owt-7be5be79.pth", "torchvision's AlexNet",
            "loss lpips (net=alex), metric lpips_diversity", "BSD-3-Clause", 244, "7be5be79",
        ),
        Weights(
            "vgg16", f"{TORCHVISION}/vgg16-397923af.pth", "torchvision's VGG16",
            "losses lpips (net=vgg), domain_invariant_perceptual_torchvision", "BSD-3-Clause", 553, "397923af",
        ),
        Weights(
            "squeezenet1_1", f"{TORCHVISION}/squeezenet1_1-b8a52dc0.pth", "torchvision's SqueezeNet 1.1",
            "loss lpips (net=squeeze)", "BSD-3-Clause", 5, "b8a52dc0",
        ),
        Weights(
            "inception_v3", f"{TORCHVISION}/inception_v3_google-0cc3c7bd.pth", "torchvision's Inception-v3",
            "forge classifier train --network inception_v3", "BSD-3-Clause", 109, "0cc3c7bd",
        ),
        Weights(
            "inception_tf", f"{TORCH_FIDELITY}/weights-inception-2015-12-05-6726825d.pth",
            "TensorFlow's Inception-v3 of 2015-12-05, as torch-fidelity converted it",
            "metrics fid, kid, prdc, inception_score", "Apache-2.0", 96, "6726825d",
        ),
    )
}  # fmt: skip


def find(name: str) -> Weights:
    """The entry of a name. Raises UsageError that suggests the nearest."""
    if name not in MANIFEST:
        raise UsageError(f"the manifest has no weights '{name}'", fix=suggest(name, MANIFEST))
    return MANIFEST[name]


@dataclass(frozen=True)
class Found:
    """What is in the place of a file of weights.

    Attributes:
        path: the place.
        status: "wrong" for a file that differs from the manifest or from its record, or that cannot be read.
        problem: why it is not "ok", naming the path.
        sha256: of the file that is there.
        record: what was written down when it was fetched.
    """

    path: Path
    status: Literal["ok", "missing", "wrong"]
    problem: str = ""
    sha256: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


def weights_file(name: str) -> Path:
    """A file of pretrained weights: the path itself, or a name in the cache."""
    file = Path(name)
    return file if file.is_absolute() or file.exists() else cache_dir() / "weights" / name


def path_of(entry: Weights) -> Path:
    """Where its file is, or would be."""
    return cache_dir() / "weights" / entry.file


def inspect(entry: Weights) -> Found:
    """Look at its file. The whole of it is read and hashed, every time."""
    path = path_of(entry)
    if not path.is_file():
        return Found(path, "missing", f"{path} does not exist")
    try:
        sha256 = sha256_of(path, entry.largest)
    except OSError as error:
        return Found(path, "wrong", f"{path} cannot be read: {error.strerror or error}")
    if not sha256.startswith(entry.sha256):
        begins = f"SHA-256 {sha256[: len(entry.sha256)]}... instead of {entry.sha256}..."
        return Found(path, "wrong", f"{path} is not the published file: {begins}", sha256)
    record = read_record(note_of(path))
    if sha256 != record.get("sha256", sha256):
        return Found(path, "wrong", f"{path} is not the file that was fetched: it has changed since", sha256)
    return Found(path, "ok", sha256=sha256, record=record)


def required(name: str, *, by: str = "this") -> Path:
    """The file of an entry of the manifest, verified as `inspect` does it.

    Args:
        name: of the entry.
        by: who needs it, for the message: "lpips".

    Raises:
        DataError: the file is not there, or it is another one.
        UsageError: there is no such entry.
    """
    entry = find(name)
    found = inspect(entry)
    if found.status != "ok":
        raise DataError(f"{by} needs the weights of {name} ({entry.about}), and {found.problem}", fix=how_to_get(entry))
    return found.path


def how_to_get(entry: Weights) -> str:
    """The next step of somebody who has not got it."""
    command = f"forge weights get {entry.name}"
    if offline():
        return f"unset FORGE_OFFLINE for `{command}`, or copy {address(entry)} to {path_of(entry)}"
    return command


def fetch(entry: Weights, *, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Download its file, and return the record of it; a file that is there is replaced when the new one is whole.

    It grows in FILE.part, which the next call goes on with if this one breaks off.

    Raises:
        DataError: it cannot be downloaded, or is not the published file.
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE is set; the cache cannot be written; another process does the same.
    """
    path = path_of(entry)
    if offline():
        raise UsageError(f"{path} is not fetched: FORGE_OFFLINE is set", fix=how_to_get(entry))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.part")) as part:
            record = download(address(entry), part, largest=entry.largest, sha256=entry.sha256, progress=progress)
            record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            write_whole(note_of(path), json.dumps(record, indent=2) + "\n")
            part.replace(path)
            forget(part)
    except OSError as error:
        raise disk_error(path, error) from error
    return record


def address(entry: Weights) -> str:
    """Where it is fetched from: its publisher, or the mirror FORGE_WEIGHTS_URL, which has all files in one folder."""
    mirror = os.environ.get("FORGE_WEIGHTS_URL", "")
    if not mirror:
        return entry.url
    if not mirror.startswith(("http://", "https://")):
        raise UsageError(f"FORGE_WEIGHTS_URL is '{mirror}'", fix="give the http or https address of a folder")
    return f"{mirror.rstrip('/')}/{entry.file}"
