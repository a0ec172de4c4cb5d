"""Shards of a server or a store, whatever the network does: damage is named, and what passes is tried again."""

import io
import os
import sys
import types

import pytest
from packed_folders import dataset, noise, packed, pairs, same, unpaired
from served_shards import everything, kept, tar_of, upload

from i2i_forge.errors import DataError, UsageError

# ---- what networks do ------------------------------------------------------------------------------------------------


def test_failures_are_tried_again_and_parts_continued(server, tmp_path):
    out = packed(pairs(tmp_path / "in"), tmp_path / "out")
    shards = upload(server, out)["train"]
    server.failing = 3
    expected = everything(dataset("packed", root=str(out)))
    server.break_after = 4000
    got = everything(dataset("webdataset", shards=shards))
    assert all(same(*both) for both in zip(got, expected, strict=True))
    assert any(part for _, part in server.asked)
    assert not list(tmp_path.glob("cache/shards/*.part*"))


def test_failures_that_stay_name_the_address_and_what_to_do(server, shards):
    (source,) = dataset("webdataset", shards=shards).sources("train")
    server.break_after, server.ranges = 1000, False
    with pytest.raises(
        DataError, match=rf"{server.url}/train-000000\.tar: the connection ended .*\(5 tries\)"
    ) as caught:
        source.example(0, None)
    assert "the same command goes on" in caught.value.fix
    server.status = 503
    with pytest.raises(DataError, match=r"answers 503 .*\(5 tries\)"):
        source.example(0, None)
    server.status, server.asked = 200, []
    del server.files["train-000000.tar"]
    with pytest.raises(DataError, match=r"train-000000\.tar: the server answers 404"):
        source.example(0, None)
    assert len(server.asked) == 1  # what is not there will not come


def test_a_shard_that_was_exchanged_is_refused(server, shards):
    (source,) = dataset("webdataset", shards=shards).sources("train")
    body = server.files["train-000000.tar"]
    server.files["train-000000.tar"] = body[:600] + b"\0\1\2" + body[603:]
    with pytest.raises(DataError, match=r"train-000000\.tar is not the expected file: SHA-256"):
        source.example(0, None)
    server.files["train-000000.tar"] = body
    assert source.example(0, None)


@pytest.mark.parametrize("is_longer", [False, True])
def test_a_shard_without_index_that_was_exchanged_is_read_anew_the_next_time(server, tmp_path, image, is_longer):
    server.files = {f"{n}.tar": tar_of([(f"{n}.png", image(n))]) for n in range(2)}
    server.etag = ""
    both = {"shards_a": f"{server.url}/0.tar", "shards_b": f"{server.url}/1.tar"}
    data = dataset("webdataset", **both)
    expected = everything(data)
    for file in kept(data.cache):
        file.unlink()
    noise(tmp_path, ["other.png"], size=(64, 64) if is_longer else (24, 16), seed=9)
    other = tar_of([("0.png", (tmp_path / "other.png").read_bytes())])
    assert (len(other) > len(server.files["0.tar"])) == is_longer
    server.files["0.tar"] = other
    with pytest.raises(DataError, match="is not the expected file" if is_longer else "does not have the checksum"):
        everything(dataset("webdataset", **both))
    a, b = everything(dataset("webdataset", **both))
    assert not same(a, expected[0]) and same(b, expected[1])


def test_a_shard_of_this_disk_that_was_damaged_stays_an_error(server, tmp_path, image):
    file = tmp_path / "x.tar"
    file.write_bytes(tar_of([("1.png", image(1))]))
    status = file.stat()
    everything(dataset("webdataset", shards=str(file), layout="side_by_side"))
    with file.open("r+b") as handle:
        handle.seek(600)
        handle.write(b"\0\1\2")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(DataError, match="does not have the checksum"):
            everything(dataset("webdataset", shards=str(file), layout="side_by_side"))


def test_skipping_bad_images_does_not_skip_what_the_network_or_the_disk_did(server, tmp_path):
    root = pairs(tmp_path / "in")
    (root / "trainA/0.png").write_bytes((root / "trainA/0.png").read_bytes()[:200])
    shards = upload(server, packed(root, tmp_path / "out"))["train"]
    data = dataset("webdataset", shards=shards, on_bad="skip")
    (source,) = data.sources("train")
    assert same(source.example(0, None), source.example(1, None))
    server.status = 503
    with pytest.raises(DataError, match="answers 503"):
        source.example(len(source) - 1, None)
    server.status = 200
    (source,) = data.sources("train")
    source.example(1, None)
    for file in kept(data.cache):
        file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(DataError, match="does not have the checksum"):
        source.example(1, None)


def test_a_copy_that_was_damaged_is_named_and_fetched_again(shards):
    data = dataset("webdataset", shards=shards)
    (source,) = data.sources("train")
    source.example(0, None)
    (file,) = kept(data.cache)
    with file.open("r+b") as handle:
        handle.seek(600)
        handle.write(b"\0\1\2")
    (source,) = data.sources("train")
    with pytest.raises(DataError, match="does not have the checksum that is listed"):
        source.example(0, None)
    assert source.example(0, None)
    assert dataset("webdataset", shards=shards).sources("train")[0].example(0, None)


def test_a_pack_that_was_made_anew_is_noticed(server, tmp_path, shards):
    everything(dataset("webdataset", shards=shards))
    again = packed(pairs(tmp_path / "in2", 10), tmp_path / "out2")
    shards = upload(server, again)["train"]
    got = everything(dataset("webdataset", shards=shards))
    assert all(same(*both) for both in zip(got, everything(dataset("packed", root=str(again))), strict=True))


def test_offline(server, tmp_path, monkeypatch):
    options = {"shards": upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]}
    expected = everything(dataset("webdataset", **options))
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    asked_before = len(server.asked)
    assert all(same(*both) for both in zip(everything(dataset("webdataset", **options)), expected, strict=True))
    assert len(server.asked) == asked_before
    with pytest.raises(UsageError, match="FORGE_OFFLINE"):
        dataset("webdataset", shards=f"{server.url}/other.tar").sources("train")


def test_an_index_that_does_not_belong_to_the_shards(server, tmp_path, shards):
    index = packed(unpaired(tmp_path / "in2"), tmp_path / "out2") / "index.bin"
    good, server.files["index.bin"] = server.files["index.bin"], index.read_bytes()
    with pytest.raises(DataError, match=r"index\.bin (is not the expected file|has .* bytes instead of)"):
        dataset("webdataset", shards=shards).sources("train")
    server.files["index.bin"] = good
    assert dataset("webdataset", shards=shards).sources("train")
    manifest = server.files["pack.json"]
    server.files["pack.json"] = manifest.replace(b'"count"', b'"cuont"')
    with pytest.raises(DataError, match="is damaged"):
        dataset("webdataset", shards=shards).sources("train")
    server.files["pack.json"] = manifest
    assert dataset("webdataset", shards=shards).sources("train")


def test_a_copy_of_the_index_that_is_damaged_is_fetched_again(shards):
    data = dataset("webdataset", shards=shards)
    expected = everything(data)
    (copy,) = (data.cache.folder / "packs").glob("*.bin")
    copy.write_bytes(copy.read_bytes()[:-3] + b"xyz")
    with pytest.raises(DataError, match="is damaged") as caught:
        dataset("webdataset", shards=shards).sources("train")
    assert "run the same command again" in caught.value.fix
    got = everything(dataset("webdataset", shards=shards))
    assert all(same(*both) for both in zip(got, expected, strict=True))


# ---- other stores ----------------------------------------------------------------------------------------------------


class Store:
    """A stand-in for the package webdataset, whose store fails a few times."""

    def __init__(self, files, failing=0, closes_badly=False):
        self.files, self.failing, self.closes_badly, self.asked = files, failing, closes_badly, []

    def gopen(self, address, mode):
        self.asked.append(address)
        if self.failing:
            self.failing -= 1
            raise OSError("exit 1 (read)")
        name = address.rpartition("/")[2]
        if name not in self.files:
            raise OSError(f"{name}: exit 1 (read)")
        return io.BytesIO(self.files[name])


def test_another_store_is_opened_by_webdataset(server, tmp_path, monkeypatch):
    out = packed(pairs(tmp_path / "in"), tmp_path / "out")
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    store = Store(files, failing=2)
    monkeypatch.setitem(sys.modules, "webdataset", types.SimpleNamespace(gopen=store.gopen))
    last = max(name[6:12] for name in files if name.startswith("train"))
    options = {"shards": f"gs://bucket/train-{{000000..{last}}}.tar"}
    expected = everything(dataset("packed", root=str(out)))
    assert all(same(*both) for both in zip(everything(dataset("webdataset", **options)), expected, strict=True))
    assert all(address.startswith("gs://bucket/") for address in store.asked)
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    assert len(everything(dataset("webdataset", **options))) == len(expected)
    with pytest.raises(UsageError, match="FORGE_OFFLINE"):
        dataset("webdataset", shards="gs://bucket/other.tar").sources("train")


def test_a_store_that_has_no_such_shard_and_one_that_webdataset_does_not_know(server, monkeypatch):
    store = Store({})
    monkeypatch.setitem(sys.modules, "webdataset", types.SimpleNamespace(gopen=store.gopen))
    with pytest.raises(DataError, match=r"gs://bucket/pack\.json cannot be read: .*\(5 tries\)") as caught:
        dataset("webdataset", shards="gs://bucket/x.tar").sources("train")  # it does not say that there is none
    assert "packed: false" in caught.value.fix
    with pytest.raises(DataError, match=r"gs://bucket/x\.tar cannot be read: x\.tar: exit 1 .*\(5 tries\)"):
        dataset("webdataset", shards="gs://bucket/x.tar", packed=False).sources("train")

    def missing(address, mode):
        store.asked.append(address)
        raise FileNotFoundError(address)

    store.asked.clear()
    monkeypatch.setitem(sys.modules, "webdataset", types.SimpleNamespace(gopen=missing))
    with pytest.raises(DataError, match=r"x\.tar cannot be read"):
        dataset("webdataset", shards="gs://bucket/x.tar").sources("train")
    assert len(store.asked) == 2  # pack.json and the shard, once each

    def unknown(address, mode):
        raise ValueError("no gopen handler defined")

    monkeypatch.setitem(sys.modules, "webdataset", types.SimpleNamespace(gopen=unknown))
    with pytest.raises(DataError, match="webdataset does not open it") as caught:
        dataset("webdataset", shards="s3://bucket/x.tar").sources("train")
    assert "https address" in caught.value.fix


def test_without_webdataset_the_error_has_the_command(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DataError, match=r"s3://bucket/x\.tar: 's3:' needs webdataset") as caught:
        dataset("webdataset", shards="s3://bucket/x.tar").sources("train")
    assert caught.value.fix == "pip install 'i2i-forge[webdataset]'"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # its own
def test_the_real_package_reads_our_shards(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    out = packed(pairs(tmp_path / "in"), tmp_path / "out")
    shards = sorted(str(path) for path in out.glob("train-*.tar"))
    found = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert len(found) == 11 and all({"a.png", "b.jpg"} <= sample.keys() for sample in found)
    assert found[0]["a.png"] == (tmp_path / "in/trainA/0.png").read_bytes()
