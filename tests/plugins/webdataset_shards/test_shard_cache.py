"""The cache of shards: bounded, shared by processes, never half a shard."""

import multiprocessing
import os

import pytest
from packed_folders import dataset, same
from served_shards import asked, kept

from i2i_forge.data.stream import Stream
from i2i_forge.errors import ForgeError, ResourceError
from i2i_forge_plugins.webdataset_shards.addresses import Shard
from i2i_forge_plugins.webdataset_shards.cache import ShardCache, locked


def test_the_shards_used_longest_ago_are_removed(server, tmp_path):
    server.files = {f"{n}.tar": bytes([n]) * 1000 for n in range(5)}
    cache = ShardCache(tmp_path / "own", 3000)
    paths = [cache.path(Shard(f"{server.url}/{n}.tar", 1000)) for n in range(3)]
    for time, path in enumerate(paths):
        os.utime(path, (time, time))
    cache.path(Shard(f"{server.url}/0.tar", 1000))  # used again
    new = cache.path(Shard(f"{server.url}/3.tar", 1000))
    assert set(kept(cache)) == {paths[0], paths[2], new} and len(server.asked) == 4
    assert cache.path(Shard(f"{server.url}/1.tar", 1000)).read_bytes() == b"\1" * 1000 and len(server.asked) == 5
    with pytest.raises(ResourceError, match="does not fit the cache") as caught:
        ShardCache(tmp_path / "tiny", 10).path(Shard(f"{server.url}/0.tar", 1000))
    assert "cache_gb" in caught.value.fix


def test_training_goes_on_with_a_cache_of_one_shard(server, tmp_path, many):
    many["mix"] = 1
    full = Stream(dataset("webdataset", **many).sources("train"), batch=2, seed=4)
    expected = [full.batch(step) for step in range(6)]
    largest = max(len(body) for name, body in server.files.items() if name.endswith(".tar"))
    small = dataset("webdataset", **many, cache_gb=1.5 * largest / 1e9)
    for more in ({"mix": 2}, {"paired": False}):
        with pytest.raises(ResourceError, match=r"the shards that are mixed have .* GB, the cache") as caught:
            dataset("webdataset", **{**many, **more}, cache_gb=1.5 * largest / 1e9).sources("train")
        assert "data.cache_gb" in caught.value.fix and "data.mix" in caught.value.fix
    for file in kept(small.cache):
        file.unlink()
    stream = Stream(small.sources("train"), batch=2, seed=4)
    assert all(same(stream.batch(step), batch) for step, batch in enumerate(expected))
    assert len(kept(small.cache)) == 1


def read_in_turn(cache, shards):
    found = []
    for _ in range(30):
        for shard in shards:
            with os.fdopen(cache.open(shard), "rb") as file:
                found.append(file.read() == bytes([int(shard.address[-5])]) * 1000)
    return found


def test_no_shard_vanishes_between_fetching_and_opening(server, tmp_path):
    """Each process makes room for its own shard, and so removes those of the others all the time."""
    server.files = {f"{n}.tar": bytes([n]) * 1000 for n in range(4)}
    cache, shards = ShardCache(tmp_path / "own", 1000), [Shard(f"{server.url}/{n}.tar", 1000) for n in range(4)]
    orders = [shards, shards[::-1], shards[1:] + shards[:1]]
    with multiprocessing.Pool(3) as pool:
        assert pool.starmap(read_in_turn, [(cache, order) for order in orders]) == [[True] * 120] * 3
    with locked(kept(cache)[0].with_suffix(".lock")):  # as while it is opened
        held = kept(cache)[0]
        cache.path(next(shard for shard in shards if cache.file(shard) != held))
        assert held in kept(cache)


def test_a_shard_that_is_open_is_read_although_it_was_removed(server, many):
    data = dataset("webdataset", **many)
    (source,) = data.sources("train")
    expected, before = source.example(0, None), len(asked(server))
    for file in kept(data.cache):
        file.unlink()
    assert same(source.example(0, None), expected) and len(asked(server)) == before


def test_only_the_file_that_was_read_is_dropped(server, tmp_path):
    server.files = {"x.tar": bytes(1000)}
    cache, shard = ShardCache(tmp_path / "own", 3000), Shard(f"{server.url}/x.tar", 1000)
    file = cache.path(shard)
    read = file.stat()
    part = file.with_suffix(".part")
    part.write_bytes(b"begun")
    other = file.with_name("other")
    other.write_bytes(bytes(1000))
    other.replace(file)  # another process fetched it anew
    cache.drop(shard, read)
    assert file.exists()
    cache.drop(shard, file.stat())
    assert not file.exists() and part.exists()
    cache.drop(shard, read)


def test_parts_that_were_left_count_and_are_removed_but_not_those_in_work(server, tmp_path):
    server.files = {f"{n}.tar": bytes(1000) for n in range(3)}
    cache = ShardCache(tmp_path / "own", 2500)
    left, in_work = (cache.file(Shard(f"{server.url}/{n}.tar")).with_suffix(".part") for n in (8, 9))
    cache.folder.mkdir()
    for time, part in enumerate((left, in_work)):
        part.write_bytes(bytes(1000))
        part.with_name(f"{part.name}.json").write_text("{}")
        os.utime(part, (time, time))
    with locked(in_work.with_suffix(".lock")):
        cache.path(Shard(f"{server.url}/0.tar", 1000))
        assert not left.exists() and not left.with_name(f"{left.name}.json").exists() and in_work.exists()
        cache.path(Shard(f"{server.url}/1.tar", 1000))
        assert len(kept(cache)) == 1 and in_work.exists()
    cache.path(Shard(f"{server.url}/2.tar", 1000))
    assert not in_work.exists() and len(kept(cache)) == 2


def test_a_folder_that_cannot_be_locked_is_an_error_with_words(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(ForgeError, match="No locks available"), locked(tmp_path / "x.lock"):
        pass


def fetched(cache, url):
    return cache.path(Shard(url, 300_000)).stat().st_size


def test_several_processes_fetch_a_shard_once(server, tmp_path):
    server.files = {"x.tar": bytes(300_000)}
    cache = ShardCache(tmp_path / "own", 10**6)
    with multiprocessing.Pool(4) as pool:
        assert pool.starmap(fetched, [(cache, f"{server.url}/x.tar")] * 4, 1) == [300_000] * 4
    assert len(server.asked) == 1 and len(kept(cache)) == 1
