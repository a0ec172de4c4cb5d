"""Packs: what is packed comes out as it was, in the same order; what is damaged is named."""

import errno
import hashlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from packed_folders import LAYOUTS, dataset, noise, packed, pairs, same, side_by_side, unpaired
from PIL import Image

from i2i_forge.data.decode import Encoded, check_header, decode
from i2i_forge.data.folders import list_images
from i2i_forge.data.packs import Pack, pack, plan_pack
from i2i_forge.data.packs.table import HEADER, ROW
from i2i_forge.data.packs.writing import ShardWriter
from i2i_forge.data.stream import Stream, batches
from i2i_forge.errors import DataError, ForgeError, ResourceError, UsageError


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def made(tmp_path):
    """A pack of unpaired images."""
    return packed(unpaired(tmp_path / "in"), tmp_path / "out")


# ---- what comes out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_image_is_there_as_it_was(tmp_path, layout):
    root = LAYOUTS[layout](tmp_path / "in")
    out = packed(root, tmp_path / "out")
    found = Pack(out)
    assert len(found.manifest.shards) > 3 and found.manifest.pairs == (layout == "pairs")
    assert dataset("packed", root=str(out)).paired is (layout != "unpaired")
    for part in found.manifest.parts.values():
        paths = list(list_images(root / part.folder))
        assert len(paths) == part.count
        for row, path in enumerate(paths, part.first):
            image = found.image(row)
            assert image.read() == path.read_bytes()
            assert image.name.endswith(f".tar/{path.relative_to(root)}")
            assert tuple(found.table.rows[row][["width", "height"]].tolist()) == check_header(path)
            assert np.array_equal(np.asarray(decode(image)), np.asarray(decode(path)))
    found.verify()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tar_reads_the_shards_and_members_of_a_sample_share_the_key(tmp_path, layout):
    out = packed(LAYOUTS[layout](tmp_path / "in"), tmp_path / "out")
    for shard in sorted(out.glob("*.tar")):
        said = subprocess.run(["tar", "tf", shard], capture_output=True, text=True, check=True)
        assert said.stderr == ""
        names = said.stdout.split()
        keys = [name.partition(".")[0] for name in names]
        if layout == "pairs":
            assert keys[::2] == keys[1::2]
            assert [name.split(".")[1] for name in names] == ["a", "b"] * (len(names) // 2)
        else:
            assert len(set(keys)) == len(keys)
    prefixes = {"unpaired": {"train-a", "train-b", "test-a"}}.get(layout, {"train", "test"})
    assert {shard.name.rpartition("-")[0] for shard in out.glob("*.tar")} == prefixes


def test_shards_have_about_the_size_that_was_asked_for_and_a_large_image_one_alone(tmp_path):
    with ShardWriter(tmp_path, 5000) as writer:
        for length in (1000, 1000, 9000, 10):
            writer.add("x", [("a.png", bytes(length))])
    assert [shard.name for shard in writer.shards] == ["x-000000.tar", "x-000001.tar", "x-000002.tar"]
    for shard in writer.shards:
        data = (tmp_path / shard.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard.bytes, shard.sha256)
    with tarfile.open(tmp_path / "x-000000.tar") as tar:
        assert [member.size for member in tar] == [1000, 1000]


def test_the_same_images_give_the_same_bytes(tmp_path):
    root = pairs(tmp_path / "in")
    first, second = (content(packed(root, tmp_path / name)) for name in ("one", "two"))
    assert first == second
    (root / "trainA/0.png").write_bytes((root / "trainA/1.png").read_bytes())
    assert content(packed(root, tmp_path / "three")) != first


def test_a_pack_has_the_bytes_that_version_1_had_from_the_beginning(tmp_path):
    for number, name in enumerate(("trainA", "trainB")):
        (tmp_path / "in" / name).mkdir(parents=True)
        for image in range(3):
            Image.new("RGB", (4, 3), (100 * number + image, 0, 0)).save(tmp_path / "in" / name / f"{image}.ppm")
    manifest = (packed(tmp_path / "in", tmp_path / "out", 2000) / "pack.json").read_bytes()  # with all checksums
    assert hashlib.sha256(manifest).hexdigest().startswith("af5848a686f15224")


FOLDER_OPTIONS = {
    ("unpaired", None): ("unpaired_folders", {}),
    ("pairs", None): ("paired_folders", {"layout": "two_folders"}),
    ("pairs", False): ("unpaired_folders", {}),
    ("side_by_side", None): ("paired_folders", {}),
    ("side_by_side", False): ("unpaired_folders", {"layout": "side_by_side"}),
}


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize(("layout", "is_paired"), FOLDER_OPTIONS)
def test_batches_are_those_of_the_folder(tmp_path, layout, is_paired, direction):
    root = LAYOUTS[layout](tmp_path / "in")
    name, options = FOLDER_OPTIONS[layout, is_paired]
    turned = {"direction": direction} if name == "paired_folders" else {}
    folders = dataset(name, root=str(root), **options, **turned)
    mine = dataset("packed", root=str(packed(root, tmp_path / "out")), paired=is_paired, direction=direction)
    streams = [Stream(data.sources("train"), batch=3, seed=5) for data in (folders, mine)]
    for step in range(12):
        assert same(*(stream.batch(step) for stream in streams))
    for ours, theirs in zip(mine.sources("test"), folders.sources("test"), strict=True):
        assert len(ours) == len(theirs)
        assert all(same(ours.example(i, None), theirs.example(i, None)) for i in range(len(ours)))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_resuming_change_nothing(made, workers):
    stream = Stream(dataset("packed", root=str(made)).sources("train"), batch=2, seed=1)
    straight = [stream.batch(step) for step in range(6)]
    again = Stream(dataset("packed", root=str(made)).sources("train"), batch=2, seed=1)
    resumed = list(batches({"main": again}, 2, 6, workers, pin=False))
    assert len(resumed) == 4 and all(same(*both) for both in zip(straight[2:], resumed, strict=True))


def test_a_pack_goes_to_another_process_without_its_open_files(made):
    found = Pack(made)
    found.read(0)
    sent = pickle.dumps(found)
    assert len(sent) < 5000 and pickle.loads(sent).read(3) == found.read(3)


def test_names_of_all_kinds(tmp_path):
    names = ["ä ö.png", "a\nb.png", "x.tar.png", os.fsdecode(b"bytes\xff.png"), "l" * 200 + ".png"]
    noise(tmp_path / "in/x", names)
    noise(tmp_path / "in/y", ["1.png"])
    found = Pack(packed(tmp_path / "in", tmp_path / "out", a="x", b="y"))
    images = [found.image(row) for row in range(len(names))]
    assert {image.name.rpartition("tar/x/")[2] for image in images} == set(names)
    assert all(
        (tmp_path / "in/x" / image.name.rpartition("tar/x/")[2]).read_bytes() == image.read() for image in images
    )


# ---- which images ----------------------------------------------------------------------------------------------


def test_folders_of_other_names_and_layouts(tmp_path):
    noise(tmp_path / "cats", ["1.png"])
    noise(tmp_path / "dogs", ["2.png", "3.png"])
    noise(tmp_path / "more", ["4.png"])
    with pytest.raises(DataError, match="neither trainA and trainB nor train; it has cats, dogs, more") as caught:
        plan_pack(tmp_path)
    assert "--a FOLDER --b FOLDER" in caught.value.fix
    plan = plan_pack(tmp_path, a="cats", b="dogs", test_b="more")
    assert {role: part.folder.name for role, part in plan.parts.items()} == {
        "train_a": "cats", "train_b": "dogs", "test_b": "more",
    }  # fmt: skip
    plan = plan_pack(tmp_path, layout="side_by_side", a="cats", test_a="dogs")
    assert {role: len(part.images) for role, part in plan.parts.items()} == {"train": 1, "test": 2}
    with pytest.raises(DataError, match="is not a folder"):
        plan_pack(tmp_path / "none")


def test_pairs_are_asked_for_refused_or_found_out(tmp_path):
    root = unpaired(tmp_path / "u")
    assert not plan_pack(root).partners
    with pytest.raises(DataError, match="without a partner"):
        plan_pack(root, pairs=True)
    root = pairs(tmp_path / "p")
    assert plan_pack(root).partners.keys() == {"train", "test"} and not plan_pack(root, pairs=False).partners
    noise(root / "trainA", ["0.png"], size=(30, 30))
    assert not plan_pack(root).partners
    with pytest.raises(DataError, match="1 of 1 pairs differ in size"):
        plan_pack(root, pairs=True)
    out = packed(root, tmp_path / "out")
    with pytest.raises(DataError, match="has no pairs"):
        dataset("packed", root=str(out), paired=True).sources("train")


def test_an_odd_width_side_by_side(tmp_path):
    root = side_by_side(tmp_path / "in")
    noise(root / "train", ["odd.png"], size=(41, 16))
    with pytest.raises(DataError, match="odd width"):
        plan_pack(root)


def test_damaged_images_are_refused_in_one_error_or_left_out_with_their_partners(tmp_path):
    root = pairs(tmp_path / "in")
    (root / "trainA/1.png").write_bytes(b"")
    (root / "trainB/3.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="2 of 26 images cannot be used") as caught:
        plan_pack(root)
    assert "--on-bad skip" in caught.value.fix
    out = packed(root, tmp_path / "out", on_bad="skip")
    assert {role: part.count for role, part in Pack(out).manifest.parts.items()} == {
        "train_a": 9, "train_b": 9, "test_a": 2, "test_b": 2,
    }  # fmt: skip
    folders = dataset("paired_folders", root=str(root), layout="two_folders", on_bad="skip")
    streams = [Stream(d.sources("train"), batch=4, seed=0) for d in (folders, dataset("packed", root=str(out)))]
    assert all(same(*(stream.batch(step) for stream in streams)) for step in range(5))


def test_no_image_can_be_used(tmp_path):
    root = pairs(tmp_path / "in")
    for path in (root / "testA").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be used"):
        plan_pack(root, on_bad="skip")


def test_damage_behind_the_header_is_met_when_it_is_decoded(tmp_path):
    root = unpaired(tmp_path / "in")
    path = root / "trainA/2.png"
    path.write_bytes(path.read_bytes()[:200])
    out = packed(root, tmp_path / "out")
    source = dataset("packed", root=str(out)).sources("train")[0]
    with pytest.raises(DataError, match=r"train-a-00000\d\.tar/trainA/2\.png: cannot be read"):
        source.example(2, None)
    source, _ = dataset("packed", root=str(out), on_bad="skip").sources("train")
    assert same(source.example(2, None), source.example(3, None))


# ---- writing ---------------------------------------------------------------------------------------------------


def test_nothing_is_written_over_and_nothing_is_left(tmp_path, monkeypatch):
    plan = plan_pack(unpaired(tmp_path / "in"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    for name in ("full", "full/x"):
        with pytest.raises(UsageError, match="there is something already"):
            pack(plan, tmp_path / name)
    with pytest.raises(UsageError, match="cannot be written"):
        pack(plan, tmp_path / "full/x/below")

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match="No space left on device; nothing is left") as caught:
            pack(plan, tmp_path / "out")
    assert "free disk space" in caught.value.fix
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and type("Usage", (), {"free": 9}))
    with pytest.raises(ResourceError, match=r"needs 0\.0 GB"):
        pack(plan, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "in"]


def test_an_empty_folder_and_what_a_killed_process_left_are_no_obstacle(tmp_path):
    root = unpaired(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.packing").mkdir()
    (tmp_path / ".out.packing/train-a-000000.tar").write_bytes(b"half")
    Pack(packed(root, tmp_path / "out")).verify()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_two_processes_do_not_mix(tmp_path):
    import fcntl

    plan = plan_pack(unpaired(tmp_path / "in"))
    (tmp_path / ".out.packing").mkdir()
    held = os.open(tmp_path / ".out.packing", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="another process"):
        pack(plan, tmp_path / "out")
    os.close(held)
    pack(plan, tmp_path / "out")


def test_a_link_to_an_empty_folder_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    out = packed(unpaired(tmp_path / "in"), tmp_path / "link")
    Pack(out).verify()
    assert out.is_symlink() and (tmp_path / "real/pack.json").is_file()
    (tmp_path / "later").symlink_to("not/yet")
    Pack(packed(tmp_path / "in", tmp_path / "later")).verify()


def test_folders_that_cannot_be_exchanged_are_refused_before_the_work(tmp_path, monkeypatch):
    plan = plan_pack(unpaired(tmp_path / "in"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for name in (".", tmp_path / "empty", "../empty"):
        with pytest.raises(UsageError, match="the working directory") as caught:
            pack(plan, Path(name))
        assert caught.value.fix.endswith("pack")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(tmp_path / "empty"))
    for name in ("empty", "link"):
        with pytest.raises(UsageError, match="mounted") as caught:
            pack(plan, tmp_path / name)
        assert "name a folder below" in caught.value.fix
    assert not list(tmp_path.glob(".*"))


def test_an_image_that_vanishes_meanwhile(tmp_path):
    root = unpaired(tmp_path / "in")
    plan = plan_pack(root)
    (root / "trainB/b3.jpg").unlink()
    with pytest.raises(DataError, match=r"b3\.jpg: cannot be read: No such file"):
        pack(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- damage ----------------------------------------------------------------------------------------------------


def opened(folder):
    return dataset("packed", root=str(folder)).sources("train")


def test_what_is_no_pack(tmp_path):
    with pytest.raises(DataError, match=r"is no pack: there is no pack\.json") as caught:
        opened(tmp_path)
    assert "forge data pack" in caught.value.fix


def test_shards_that_are_missing_cut_or_changed(made):
    shard = made / "train-a-000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-512])
    with pytest.raises(DataError, match=r"train-a-000001\.tar is cut: it has .* instead of") as caught:
        opened(made)
    assert "copy it again" in caught.value.fix
    shard.write_bytes(whole + b"\0")
    with pytest.raises(DataError, match="is too long"):
        opened(made)
    shard.unlink()
    with pytest.raises(DataError, match=r"train-a-000001\.tar is missing"):
        opened(made)
    shard.write_bytes(whole[:800] + b"\0\0" + whole[802:])
    source = opened(made)[0]
    with pytest.raises(DataError, match=r"train-a-000001\.tar/trainA/\S+: is damaged: .* checksum"):
        for index in range(len(source)):
            source.example(index, None)
    with pytest.raises(DataError, match=r"train-a-000001\.tar is damaged"):
        Pack(made).verify()


def test_a_shard_that_is_cut_while_it_is_read_is_an_error_and_not_the_end_of_the_process(made):
    source = opened(made)[0]
    source.example(0, None)
    for shard in made.glob("*.tar"):
        os.truncate(shard, 700)
    with pytest.raises(DataError, match="which was cut"):
        source.example(0, None)


def test_an_index_that_is_cut_while_it_is_used_does_no_harm(made):
    code = """
import os, sys
from i2i_forge.data.packs import Pack
pack = Pack(sys.argv[1])
os.truncate(pack.table.file, 100)
print(len({pack.name(row) for row in range(len(pack.table))}))
"""
    said = subprocess.run([sys.executable, "-c", code, made], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "20\n"), said.stderr


def test_an_index_of_another_pack_is_refused_by_the_manifest(made, tmp_path):
    other = unpaired(tmp_path / "in2")
    (other / "trainA/0.png").rename(other / "trainA/00.png")
    other = packed(other, tmp_path / "out2") / "index.bin"
    assert other.stat().st_size != (made / "index.bin").stat().st_size
    (made / "index.bin").write_bytes(other.read_bytes())
    with pytest.raises(DataError, match=r"index\.bin is not the one that was made with it"):
        opened(made)


def test_an_index_that_is_exchanged_before_another_process_reads_it(made, tmp_path):
    found = pickle.dumps(Pack(made))
    (made / "index.bin").write_bytes((packed(pairs(tmp_path / "p"), tmp_path / "o") / "index.bin").read_bytes())
    with pytest.raises(DataError, match="is not the one that was made with it"):
        pickle.loads(found).name(0)


def test_another_version(made):
    manifest, index = made / "pack.json", made / "index.bin"
    text, data = manifest.read_text(), index.read_bytes()
    manifest.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(DataError, match=r"pack\.json is of version 2; this i2i_forge reads version 1") as caught:
        opened(made)
    assert "pack the folder again" in caught.value.fix
    manifest.write_text(text)
    index.write_bytes(data[:8] + struct.pack("<I", 7) + data[12:])
    with pytest.raises(DataError, match=r"index\.bin is an index of version 7"):
        opened(made)


def test_any_change_to_the_index_or_the_manifest_is_noticed(made):
    draws = random.Random(0)
    for name in ("index.bin", "pack.json"):
        whole = (made / name).read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            kind = draws.choice(["flip", "cut", "longer", "zeros"])
            at = draws.randrange(len(whole))
            if kind == "flip":
                damaged[at] ^= 1 << draws.randrange(8)
            elif kind == "zeros":
                damaged[at : at + 64] = bytes(len(damaged[at : at + 64]))
            damaged = damaged[:at] if kind == "cut" else damaged + b"xx" if kind == "longer" else damaged
            if damaged == whole or (name == "pack.json" and damaged.strip() == whole.strip()):
                continue
            (made / name).write_bytes(damaged)
            with pytest.raises(DataError) as caught:
                opened(made)
            assert name in caught.value.message and caught.value.fix
        (made / name).write_bytes(whole)
    assert opened(made)


def resealed(index, change):
    """An index with another content and the checksum of that; its length and checksum are in the manifest too."""
    data = index.read_bytes()
    magic, version, zero, count, names, _ = HEADER.unpack(data[: HEADER.size])
    body = bytearray(data[HEADER.size :])
    rows = np.frombuffer(body, ROW, count)
    change(rows)
    head = HEADER.pack(magic, version, zero, count, names, hashlib.sha256(body).digest())
    index.write_bytes(head + bytes(body))
    manifest = index.with_name("pack.json")
    read = json.loads(manifest.read_text())["pack"]
    read["index"]["sha256"] = hashlib.sha256(head + body).hexdigest()
    manifest.write_text(json.dumps({"sha256": digest_of(read), "pack": read}))


def digest_of(read):
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shard", 99), ("offset", 2**63), ("offset", 20_000), ("length", 2**32 - 1), ("partner", 2**31),
        ("name", 2**40), ("name", 0),
    ],
)  # fmt: skip
def test_an_index_that_points_elsewhere_is_refused_although_its_checksum_is_right(made, key, value):
    def change(rows):
        rows[key][4] = value

    resealed(made / "index.bin", change)
    with pytest.raises(DataError, match="speaks of what is not there: row"):
        opened(made)


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "other"},
        {"parts": {}},
        {"parts": {"train_a": {"folder": "x", "first": 0, "count": 10**9}}},
        {"shards": [{"name": "../../etc/passwd", "bytes": 1, "sha256": "0" * 64}]},
        {"shards": [{"name": "train-000000.tar", "bytes": -1, "sha256": "0" * 64}]},
        {"shards": 3},
        {"index": {"bytes": 1, "sha256": "../x"}},
        {"index": {"bytes": -1, "sha256": "0" * 64}},
        {"entries": True},
        {"more": 1, "layout": None},
    ],
)
def test_a_manifest_of_somebody_who_means_harm(made, change):
    read = json.loads((made / "pack.json").read_text())["pack"] | change
    (made / "pack.json").write_text(json.dumps({"sha256": digest_of(read), "pack": read}))
    with pytest.raises(DataError):
        opened(made)


def test_bytes_go_by_the_rules_of_files(tmp_path):
    for name, data in {"empty": b"", "text": b"<html>", "half": b"\x89PNG\r\n\x1a\n"}.items():
        path = tmp_path / name
        path.write_bytes(data)
        said = []
        for image in (path, Encoded(str(path), lambda data=data: data)):
            with pytest.raises(ForgeError) as caught:
                decode(image)
            said.append(caught.value.message)
        assert said[0] == said[1]
    Image.new("RGB", (65, 1)).save(tmp_path / "sliver.png")
    with pytest.raises(DataError, match="x: is 65x1, longer than"):
        check_header(Encoded("x", (tmp_path / "sliver.png").read_bytes))
