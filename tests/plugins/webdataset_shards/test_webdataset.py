"""Shards of a server: the same batches as from the folder, and options that make sense."""

import itertools

import pytest
import torch
from packed_folders import LAYOUTS, dataset, noise, packed, pairs, same, side_by_side, unpaired
from served_shards import asked, everything, options_of, tar_of, upload

from i2i_forge.data.stream import Stream, batches
from i2i_forge.errors import DataError
from i2i_forge.system.seeding import generator
from i2i_forge_plugins.webdataset_shards.addresses import expand
from i2i_forge_plugins.webdataset_shards.sharded import ShardOrder

# ---- what comes out --------------------------------------------------------------------------------------------------


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


# ---- batch k is a function of (seed, k) ------------------------------------------------------------------------------


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


# ---- options ---------------------------------------------------------------------------------------------------------


def test_patterns():
    assert expand("s", "x") == ["x"]
    assert expand("s", "{a,b}-{8..10}.tar") == [f"{x}-{n}.tar" for x in "ab" for n in (8, 9, 10)]
    assert expand("s", "{098..101}") == ["098", "099", "100", "101"]
    wrong = ("{", "a}", "{3..1}", "{a}", "{a..c}", "{1..2..3}", "{0..999999}", "{0..999}{0..999}", "{a,a}", "{{1..2}}")
    for pattern in wrong:
        with pytest.raises(DataError, match="shards: ") as caught:
            expand("shards", pattern)
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packs_of_these_tests_have_several_shards_of_a_part(tmp_path, layout):
    out = packed(LAYOUTS[layout](tmp_path / "in"), tmp_path / "out")
    assert len(list(out.glob("train-a-*.tar" if layout == "unpaired" else "train-*.tar"))) > 2
