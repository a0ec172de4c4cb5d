"""Shards on a server, and what was asked of it."""

import io
import tarfile

from i2i_forge_plugins.webdataset_shards.scanning import samples as samples_of


def upload(server, folder, *leave_out):
    """Serve the files of a folder; returns the names of the shards by what they begin with."""
    server.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in leave_out}
    patterns = {}
    for name in sorted(server.files):
        if name.endswith(".tar"):
            patterns.setdefault(name.rpartition("-")[0], []).append(name[-10:-4])
    return {prefix: f"{server.url}/{prefix}-{{{many[0]}..{many[-1]}}}.tar" for prefix, many in patterns.items()}


def asked(server, ending=".tar"):
    return [path.rpartition("/")[2] for path, _ in server.asked if path.endswith(ending)]


def samples(file, *arguments):
    with file.open("rb") as handle:
        return samples_of(handle, *arguments)


def everything(data, split="train"):
    """Every example of every source."""
    return [source.example(index, None) for source in data.sources(split) for index in range(len(source))]


def options_of(patterns):
    """What a recipe says of uploaded shards."""
    if "train" in patterns:
        return {"shards": patterns["train"], "test_shards": patterns["test"]}
    return {"shards_a": patterns["train-a"], "shards_b": patterns["train-b"], "test_shards_a": patterns["test-a"]}


def tar_of(members):
    """The bytes of a tar: (name, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def kept(cache):
    return sorted(cache.folder.glob("*.tar"), key=lambda file: file.stat().st_mtime_ns)
