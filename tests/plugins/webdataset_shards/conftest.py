"""A server of shards, and small images."""

import pytest
from file_server import serving
from packed_folders import noise, packed, pairs
from served_shards import upload

from i2i_forge_plugins.webdataset_shards import fetching


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of several files, an own cache, and no waiting between tries."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "PAUSE", 0)
    with serving(b"") as served:
        served.files = {}
        yield served


@pytest.fixture
def many(server, tmp_path):
    """The options of many shards of pairs."""
    return {"shards": upload(server, packed(pairs(tmp_path / "in", 20), tmp_path / "out"))["train"], "mix": 2}


@pytest.fixture
def shards(server, tmp_path):
    """The training shards of a pack of pairs, `out`, that the server has."""
    return upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]


@pytest.fixture
def image(tmp_path):
    """Bytes of small images, all different."""

    def make(number):
        noise(tmp_path / "made", ["x.png"], seed=number)
        return (tmp_path / "made/x.png").read_bytes()

    return make
