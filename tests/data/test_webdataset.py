"""Shards of a server: the same batches as from the folder, whatever the network does; damage is named."""

import io
import itertools
import multiprocessing
import os
import random
import sys
import tarfile
import types

import pytest
import torch
from file_server import serving
from packed_folders import LAYOUTS, dataset, noise, packed, pairs, side_by_side, unpaired

from i2i_forge.data.remote_shards import ShardCache, counted, expand, fetching
from i2i_forge.data.remote_shards.cache import locked
from i2i_forge.data.remote_shards.order import ShardOrder
from i2i_forge.data.remote_shards.scanning import samples as samples_of
from i2i_forge.data.stream import Stream, batches
from i2i_forge.errors import DataError, ForgeError, ResourceError, UsageError
from i2i_forge.seeding import generator


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of several files, an own cache, and no waiting between tries."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "PAUSE", 0)
    with serving(b"") as served:
        served.files = {}
        yield served


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


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


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


@pytest.fixture
def image(tmp_path):
    """Bytes of small images, all different."""

    def make(number):
        noise(tmp_path / "made", ["x.png"], seed=number)
        return (tmp_path / "made/x.png").read_bytes()

    return make


# ---- what comes out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_examples_are_those_of_the_pack(server, tmp_path, layout, has_index):
    out = packed(LAYOUTS[layout](tmp_path / "in"), tmp_path / "out")
    patterns = upload(server, out, *([] if has_index else ["pack.json", "index.bin"]))
    kind = {"layout": "side_by_side"} if layout == "side_by_side" and not has_index else {}
    data = dataset("webdataset", **options_of(patterns), **kind)
    theirs = dataset("packed", root=str(out))
    # without the index the images of unpaired shards are the first of their samples; names sort as the pack does
    for split in ("train", "test"):
        assert all(same(*both) for both in zip(everything(data, split), everything(theirs, split), strict=True))
    assert len(asked(server)) == len(set(asked(server)))  # each shard once, the listing included
    assert ("index.bin" in asked(server, "index.bin")) == has_index
    again = dataset("webdataset", **options_of(patterns), **kind)
    before = len(asked(server))
    everything(again)
    assert len(asked(server)) == before


@pytest.mark.parametrize("layout", ["pairs", "side_by_side"])
@pytest.mark.parametrize("has_index", [True, False])
def test_pairs_may_be_taken_apart_or_exchanged(server, tmp_path, layout, has_index):
    out = packed(LAYOUTS[layout](tmp_path / "in"), tmp_path / "out")
    patterns = upload(server, out, *([] if has_index else ["pack.json"]))
    kind = {"layout": layout, "shards": patterns["train"]}
    a, b = dataset("webdataset", paired=False, **kind).sources("train")
    both = everything(dataset("webdataset", **kind))
    assert [a.example(i, None)["a"].mean() for i in range(len(a))] == [pair["a"].mean() for pair in both]
    assert [b.example(i, None)["b"].mean() for i in range(len(b))] == [pair["b"].mean() for pair in both]
    if layout == "pairs":
        for pair, turned in zip(both, everything(dataset("webdataset", a="b", b="a", **kind)), strict=True):
            assert same(pair, {"a": turned["b"], "b": turned["a"]})


def test_shards_of_pairs_as_shards_of_each_domain(server, tmp_path):
    patterns = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))
    data = dataset("webdataset", shards_a=patterns["train"], shards_b=patterns["train"])
    a, b = data.sources("train")
    assert "trainA" in a.name(0) and "trainB" in b.name(0)


def test_shards_of_both_domains_without_index_need_endings(server, tmp_path):
    patterns = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"), "pack.json", "index.bin")
    both = {"shards_a": patterns["train"], "shards_b": patterns["train"]}
    for endings in ({}, {"a": "a"}, {"b": "b"}, {"a": "png", "b": "PNG"}):
        with pytest.raises(DataError, match="is of both domains, and nothing says which") as caught:
            dataset("webdataset", **both, **endings).sources("train")
        assert "`a` and `b`" in caught.value.fix and not asked(server)
    a, b = dataset("webdataset", **both, a="a", b="b").sources("train")
    (pair,) = dataset("webdataset", shards=patterns["train"]).sources("train")
    assert same(pair.example(3, None), {**a.example(3, None), **b.example(3, None)})


def test_shards_of_one_domain_of_a_pack_are_not_those_of_the_other(server, tmp_path):
    patterns = upload(server, packed(unpaired(tmp_path / "in"), tmp_path / "out"))
    with pytest.raises(DataError, match="is of both domains"):
        dataset("webdataset", shards_a=patterns["train-a"], shards_b=patterns["train-a"]).sources("train")


def test_only_a_store_that_says_so_has_no_pack(server, tmp_path):
    patterns = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))
    both = {"shards_a": patterns["train"], "shards_b": patterns["train"]}
    for status, words in ((503, r"pack\.json: the server answers 503 .*\(5 tries\)"), (403, "answers 403")):
        server.statuses = {"pack.json": status}
        with pytest.raises(DataError, match=words) as caught:
            dataset("webdataset", **both).sources("train")
        assert "packed: false" in caught.value.fix
    assert dataset("webdataset", shards=patterns["train"], packed=False).sources("train")
    server.statuses = {}
    assert dataset("webdataset", **both).sources("train")
    manifest = server.files.pop("pack.json")
    server.files["other.json"] = b"{}"
    with pytest.raises(DataError, match=r"pack\.json was there before, and is not now") as caught:
        dataset("webdataset", **both).sources("train")
    assert "upload it again" in caught.value.fix
    server.files["pack.json"] = b"<html>Welcome"
    with pytest.raises(DataError, match=r"pack\.json was there before"):
        dataset("webdataset", **both).sources("train")
    server.files["pack.json"] = manifest
    assert dataset("webdataset", **both, packed=True).sources("train")


def test_a_pack_that_is_asked_for_has_to_be_there(server, tmp_path):
    patterns = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"), "pack.json")
    for shards in (patterns["train"], str(tmp_path / "x.tar")):
        with pytest.raises(DataError, match=r"there is no pack\.json beside it"):
            dataset("webdataset", shards=shards, packed=True).sources("train")


def test_pairs_without_index_of_two_sizes_and_halves_of_an_odd_width(server, tmp_path, image):
    noise(tmp_path / "made", ["b.png"], size=(24, 20))
    noise(tmp_path / "made", ["odd.png"], size=(25, 16))
    members = [("1.a.png", image(1)), ("1.b.png", (tmp_path / "made/b.png").read_bytes())]
    server.files = {"x.tar": tar_of(members), "y.tar": tar_of([("1.png", (tmp_path / "made/odd.png").read_bytes())])}
    for on_bad in ("error", "skip"):
        options = {"on_bad": on_bad, "test_crop": False}
        (source,) = dataset("webdataset", shards=f"{server.url}/x.tar", **options).sources("train")
        with pytest.raises(DataError, match=r"1\.a\.png and .*1\.b\.png are 24x16 and 24x20"):
            source.example(0, None)
        options["layout"] = "side_by_side"
        for paired in (True, False):
            made = dataset("webdataset", shards=f"{server.url}/y.tar", paired=paired, **options).sources("train")
            with pytest.raises(DataError, match=r"y\.tar/1\.png is 25x16: an odd width"):
                made[-1].example(0, None)


def test_shards_of_others_with_endings_of_their_own(server, image, tmp_path):
    members = []
    for number in range(4):
        members += [(f"set/{number}.edges.png", image(2 * number)), (f"set/{number}.json", b"{}"),
                    (f"set/{number}.photo.PNG", image(2 * number + 1))]  # fmt: skip
    members.insert(6, ("set/alone.photo.png", image(99)))
    server.files = {"x-0.tar": tar_of(members[:7]), "x-1.tar": tar_of(members[7:])}
    options = {"shards": f"{server.url}/x-{{0..1}}.tar", "a": "edges.png", "b": "photo.png"}
    (source,) = dataset("webdataset", **options).sources("train")
    assert len(source) == 4
    assert [source.name(i).count("/x-") for i in range(4)] == [2] * 4
    from i2i_forge.data.decode import Encoded, decode
    from i2i_forge.data.transforms import Transform

    for number in range(4):
        for domain, place in (("a", 0), ("b", 1)):
            mine = decode(Encoded("", lambda at=2 * number + place: image(at)))
            assert torch.equal(source.example(number, None)[domain], Transform(16)(mine, None))
    with pytest.raises(DataError, match=r"x-0\.tar has no sample with 'sketch' and 'photo'; .*'edges\.png'") as caught:
        dataset("webdataset", **{**options, "a": "sketch", "b": "photo"}).sources("train")
    assert "set `a` and `b`" in caught.value.fix
    (tmp_path / "x-0.tar").write_bytes(server.files["x-0.tar"])
    local = dataset("webdataset", **{**options, "shards": str(tmp_path / "x-0.tar")}).sources("train")
    assert len(local[0]) == 2


# ---- batch k is a function of (seed, k) ------------------------------------------------------------------------


def test_an_order_is_a_permutation_that_stays_in_a_group_of_shards():
    counts = [5, 1, 9, 4, 7, 3]
    shard_of = [shard for shard, count in enumerate(counts) for _ in range(count)]
    for mix in (1, 2, 4, 9):
        order = ShardOrder(counts, mix, generator("x", mix))
        assert sorted(order) == list(range(29))
        groups = [shard_of[index] for index in order]
        changes = sum(one != other for one, other in itertools.pairwise(groups))
        assert (changes == 5) == (mix == 1)
        assert [order[place] for place in (28, 0, 13)] == [list(order)[place] for place in (28, 0, 13)]
        assert list(order) == list(ShardOrder(counts, mix, generator("x", mix)))
        assert list(order) != list(ShardOrder(counts, mix, generator("y", mix)))
        seen = [set(groups[start:end]) for start, end in itertools.pairwise(order.starts)]
        assert sum(map(len, seen)) == len(counts) and max(map(len, seen)) <= mix


@pytest.fixture
def many(server, tmp_path):
    """The options of many shards of pairs."""
    return {"shards": upload(server, packed(pairs(tmp_path / "in", 20), tmp_path / "out"))["train"], "mix": 2}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_ranks_and_resuming_change_nothing(many, workers):
    def stream(**more):
        return Stream(dataset("webdataset", **many).sources("train"), batch=2, seed=4, **more)

    straight = [stream().batch(step) for step in range(30)]
    resumed = list(batches({"main": stream()}, 7, 30, workers, pin=False))
    assert all(same(*both) for both in zip(straight[7:], resumed, strict=True))
    halves = [stream(rank=rank, ranks=2) for rank in range(2)]
    for step in (0, 9):
        parts = [half.batch(step) for half in halves]
        assert torch.equal(torch.cat([part["a"] for part in parts]), straight[step]["a"])


def test_every_example_comes_once_in_an_epoch_and_shards_one_after_the_other(many):
    (source,) = sources = dataset("webdataset", **{**many, "mix": 1}).sources("train")
    stream = Stream(sources, batch=1, seed=0)
    names = [stream.names(step)[0] for step in range(2 * len(source))]
    first, second = names[: len(source)], names[len(source) :]
    assert len(set(first)) == len(source) and set(first) == set(second) and first != second
    shards = [name.partition(".tar")[0] for name in first]
    assert sum(a != b for a, b in itertools.pairwise(shards)) == len(set(shards)) - 1 > 3


# ---- the cache -------------------------------------------------------------------------------------------------


def kept(cache):
    return sorted(cache.folder.glob("*.tar"), key=lambda file: file.stat().st_mtime_ns)


def test_the_shards_used_longest_ago_are_removed(server, tmp_path):
    server.files = {f"{n}.tar": bytes([n]) * 1000 for n in range(5)}
    cache = ShardCache(tmp_path / "own", 3000)
    paths = [cache.path(f"{server.url}/{n}.tar", 1000) for n in range(3)]
    for time, path in enumerate(paths):
        os.utime(path, (time, time))
    cache.path(f"{server.url}/0.tar", 1000)  # used again
    new = cache.path(f"{server.url}/3.tar", 1000)
    assert set(kept(cache)) == {paths[0], paths[2], new} and len(server.asked) == 4
    assert cache.path(f"{server.url}/1.tar", 1000).read_bytes() == b"\1" * 1000 and len(server.asked) == 5
    with pytest.raises(ResourceError, match="does not fit the cache") as caught:
        ShardCache(tmp_path / "tiny", 10).path(f"{server.url}/0.tar", 1000)
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


def test_a_shard_that_another_process_removes_before_it_is_open_is_fetched_again(server, tmp_path, monkeypatch, many):
    expected = everything(dataset("webdataset", **many))
    path, removed, times = ShardCache.path, [], [2]

    def gone(cache, address, *known):
        file = path(cache, address, *known)
        if removed.count(file) < times[0]:
            removed.append(file)
            file.unlink()
        return file

    monkeypatch.setattr(ShardCache, "path", gone)
    for packed_by_us in (True, False):
        removed.clear()
        got = everything(dataset("webdataset", **many, packed=packed_by_us))
        assert removed and all(same(*both) for both in zip(got, expected, strict=True))
    times[0] = 99
    (source,) = dataset("webdataset", **many).sources("train")
    with pytest.raises(ResourceError, match="each time another process removed it"):
        source.example(0, None)


def test_a_shard_that_is_open_is_read_although_it_was_removed(server, many):
    data = dataset("webdataset", **many)
    (source,) = data.sources("train")
    expected, before = source.example(0, None), len(asked(server))
    for file in kept(data.cache):
        file.unlink()
    assert same(source.example(0, None), expected) and len(asked(server)) == before


def test_only_the_file_that_was_read_is_dropped(server, tmp_path):
    server.files = {"x.tar": bytes(1000)}
    cache, address = ShardCache(tmp_path / "own", 3000), f"{server.url}/x.tar"
    file = cache.path(address, 1000)
    read = file.stat()
    part = file.with_suffix(".part")
    part.write_bytes(b"begun")
    other = file.with_name("other")
    other.write_bytes(bytes(1000))
    other.replace(file)  # another process fetched it anew
    cache.drop(address, "", read)
    assert file.exists()
    cache.drop(address, "", file.stat())
    assert not file.exists() and part.exists()
    cache.drop(address, "", read)


def test_parts_that_were_left_count_and_are_removed_but_not_those_in_work(server, tmp_path):
    server.files = {f"{n}.tar": bytes(1000) for n in range(3)}
    cache = ShardCache(tmp_path / "own", 2500)
    left, in_work = (cache.file(f"{server.url}/{n}.tar").with_suffix(".part") for n in (8, 9))
    cache.folder.mkdir()
    for time, part in enumerate((left, in_work)):
        part.write_bytes(bytes(1000))
        part.with_name(f"{part.name}.json").write_text("{}")
        os.utime(part, (time, time))
    with locked(in_work.with_suffix(".lock")):
        cache.path(f"{server.url}/0.tar", 1000)
        assert not left.exists() and not left.with_name(f"{left.name}.json").exists() and in_work.exists()
        cache.path(f"{server.url}/1.tar", 1000)
        assert len(kept(cache)) == 1 and in_work.exists()
    cache.path(f"{server.url}/2.tar", 1000)
    assert not in_work.exists() and len(kept(cache)) == 2


def test_a_folder_that_cannot_be_locked_is_an_error_with_words(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(ForgeError, match="No locks available"), locked(tmp_path / "x.lock"):
        pass


def fetch(cache, url, results):
    results.put(cache.path(url, 300_000).stat().st_size)


def test_several_processes_fetch_a_shard_once(server, tmp_path):
    server.files = {"x.tar": bytes(300_000)}
    cache, results = ShardCache(tmp_path / "own", 10**6), multiprocessing.SimpleQueue()
    workers = [multiprocessing.Process(target=fetch, args=(cache, f"{server.url}/x.tar", results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert [results.get() for _ in workers] == [300_000] * 4
    for worker in workers:
        worker.join()
    assert len(server.asked) == 1 and len(kept(cache)) == 1


# ---- what networks do ------------------------------------------------------------------------------------------


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


def test_failures_that_stay_name_the_address_and_what_to_do(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
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


def test_a_shard_that_was_exchanged_is_refused(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
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


def test_a_copy_that_was_damaged_is_named_and_fetched_again(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
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


def test_a_pack_that_was_made_anew_is_noticed(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
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


def test_an_index_that_does_not_belong_to_the_shards(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
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


def test_a_copy_of_the_index_that_is_damaged_is_fetched_again(server, tmp_path):
    shards = upload(server, packed(pairs(tmp_path / "in"), tmp_path / "out"))["train"]
    data = dataset("webdataset", shards=shards)
    expected = everything(data)
    (copy,) = (data.cache.folder / "packs").glob("*.bin")
    copy.write_bytes(copy.read_bytes()[:-3] + b"xyz")
    with pytest.raises(DataError, match="is damaged") as caught:
        dataset("webdataset", shards=shards).sources("train")
    assert "run the same command again" in caught.value.fix
    got = everything(dataset("webdataset", shards=shards))
    assert all(same(*both) for both in zip(got, expected, strict=True))


# ---- options ---------------------------------------------------------------------------------------------------


def test_patterns():
    assert expand("s", "x") == ["x"]
    assert expand("s", "{a,b}-{8..10}.tar") == [f"{x}-{n}.tar" for x in "ab" for n in (8, 9, 10)]
    assert expand("s", "{098..101}") == ["098", "099", "100", "101"]
    for wrong in (
        "{",
        "a}",
        "{3..1}",
        "{a}",
        "{a..c}",
        "{1..2..3}",
        "{0..999999}",
        "{0..999}{0..999}",
        "{a,a}",
        "{{1..2}}",
    ):
        with pytest.raises(DataError, match="shards: ") as caught:
            expand("shards", wrong)
        assert "{000000..000012}" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs shards"),
        ({"shards": "x", "shards_a": "y", "shards_b": "z"}, "needs shards"),
        ({"shards_a": "y"}, "needs shards"),
        ({"shards": "x", "shards_b": "y"}, "needs shards"),
        ({"shards": "x", "test_shards_a": "y"}, "test_shards_a would do nothing beside shards"),
        (
            {"shards": "x", "test_shards_a": "y", "test_shards_b": "z"},
            "test_shards_a and test_shards_b would do nothing",
        ),
        ({"shards_a": "x", "shards_b": "y", "test_shards": "z"}, "test_shards would do nothing beside shards_a and"),
        ({"shards_a": "x", "shards_b": "y", "layout": "pairs"}, "layout would do nothing"),
        ({"shards": "x", "layout": "pair"}, "layout: there is no 'pair'"),
        ({"shards": "x", "mix": 0}, "mix: 0"),
        ({"shards": "x", "cache_gb": 0}, "cache_gb: 0"),
        ({"shards": "x{"}, "brace too many"),
        ({"shards": "/nowhere/x.tar"}, "shard /nowhere/x.tar: No such file"),
        ({"shards": "pipe:touch x"}, "there is no 'pipe:'"),
        ({"shards": "file:///etc/passwd"}, "there is no 'file:'"),
        ({"shards": "http://host/a b.tar"}, "spaces or control characters"),
        ({"shards": "{http://host/x,pipe:touch}"}, "there is no 'pipe:'"),
    ],
)
def test_options_that_make_no_sense(options, words, server):
    with pytest.raises(DataError, match=words) as caught:
        dataset("webdataset", **options).sources("train")
    assert caught.value.fix


@pytest.mark.parametrize(("make", "layout"), [(pairs, "side_by_side"), (side_by_side, "pairs"), (unpaired, "auto")])
def test_a_layout_that_the_pack_does_not_have(server, tmp_path, make, layout):
    patterns = upload(server, packed(make(tmp_path / "in"), tmp_path / "out"))
    with pytest.raises(DataError, match="is of a pack of layout"):
        dataset("webdataset", shards=next(iter(patterns.values())), layout=layout).sources("train")


def test_shards_of_halves_are_not_those_of_one_domain(server, tmp_path):
    shards = upload(server, packed(side_by_side(tmp_path / "in"), tmp_path / "out"))["train"]
    with pytest.raises(DataError, match="both domains side by side") as caught:
        dataset("webdataset", shards_a=shards, shards_b=shards).sources("train")
    assert "set `shards`" in caught.value.fix


def test_shards_of_two_parts(server, tmp_path):
    upload(server, packed(unpaired(tmp_path / "in"), tmp_path / "out"))
    both = f"{server.url}/train-{{a,b}}-000000.tar"
    with pytest.raises(DataError, match="several parts of the pack") as caught:
        dataset("webdataset", shards_a=both, shards_b=f"{server.url}/test-a-000000.tar").sources("train")
    assert "train-a, train-b" in caught.value.fix


# ---- other stores ----------------------------------------------------------------------------------------------


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


# ---- damaged tars ----------------------------------------------------------------------------------------------


def test_damaged_tars_are_refused_or_read_as_they_are(tmp_path, image):
    whole = tar_of([(f"{n}.{domain}.png", image(n)) for n in range(4) for domain in "ab"])
    draws, refused, file = random.Random(1), 0, tmp_path / "x.tar"
    for _ in range(400):
        damaged = bytearray(whole)
        kind, at = draws.choice(["flip", "cut", "zeros", "header"]), draws.randrange(len(whole))
        if kind == "flip":
            damaged[at] ^= 1 << draws.randrange(8)
        elif kind == "zeros":
            damaged[at : at + 600] = bytes(len(damaged[at : at + 600]))
        elif kind == "header":
            at = draws.randrange(8) * 512
            damaged[at : at + 512] = draws.randbytes(512)
        file.write_bytes(damaged[:at] if kind == "cut" else damaged)
        try:
            found = samples(file, "x.tar", ("a", "b"))
        except DataError as error:
            refused += 1
            assert "x.tar" in error.message and error.fix
        else:
            assert all(m.offset + m.length <= len(whole) for sample in found for m in sample)
    assert refused > 100


@pytest.mark.parametrize("cut", [512, 1024, 3000, 0])
def test_a_tar_that_ends_early_is_refused(tmp_path, image, cut):
    file = tmp_path / "x.tar"
    file.write_bytes(tar_of([("1.png", image(1)), ("2.png", image(2))])[:cut])
    with pytest.raises(DataError, match=r"x\.tar is damaged, or no tar"):
        samples(file, "x.tar", ("",))
    body = tar_of([("1.png", image(1))])
    end = 512 + len(image(1)) + -len(image(1)) % 512
    file.write_bytes(body[:end])  # between two members
    with pytest.raises(DataError, match="neither a header nor an end mark"):
        samples(file, "x.tar", ("",))


def test_links_and_folders_in_a_tar_are_no_images(tmp_path, image):
    file = tmp_path / "x.tar"
    with tarfile.open(file, "w") as tar:
        for name, kind in (("1.png", tarfile.SYMTYPE), ("2.png", tarfile.DIRTYPE), ("3.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("../../4.png")
        info.size = len(image(4))
        tar.addfile(info, io.BytesIO(image(4)))
    ((member,),) = samples(file, "x.tar", ("",))
    assert member.name == "../../4.png" and not (tmp_path / "4.png").exists()


def test_listings_that_were_damaged_say_so(server, tmp_path, image):
    server.files = {"x.tar": tar_of([("1.png", image(1)), ("2.png", image(2))])}
    cache = ShardCache(tmp_path / "own", 10**9)
    assert counted([f"{server.url}/x.tar"], ("",), cache).counts.tolist() == [2]
    for file in (cache.folder / "listings").glob("*.bin"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="bytes instead of") as caught:
        counted([f"{server.url}/x.tar"], ("",), cache)
    assert "remove the folder" in caught.value.fix


def test_long_names_of_long_names_are_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    header = info.tobuf(tarfile.GNU_FORMAT)
    file = tmp_path / "x.tar"
    file.write_bytes((header + bytes(512)) * 5000)
    with pytest.raises(DataError, match=r"x\.tar is damaged"):
        samples(file, "x.tar", ("",))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packs_of_these_tests_have_several_shards_of_a_part(tmp_path, layout):
    out = packed(LAYOUTS[layout](tmp_path / "in"), tmp_path / "out")
    assert len(list(out.glob("train-a-*.tar" if layout == "unpaired" else "train-*.tar"))) > 2
