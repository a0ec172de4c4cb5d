"""Headers that are kept in the cache: what is opened again, and that nothing about the cache can go wrong."""

import io
import os
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from loaded import CATALOG
from PIL import Image

from i2i_forge.data import check_halves, check_images, check_lists, check_pairs, headers
from i2i_forge.data.checks import match_stems
from i2i_forge.data.folders import list_images, read_list
from i2i_forge.errors import DataError
from i2i_forge.system.files import cache_dir

COUNT = 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eight images, 0.png to 7.jpg, every second a JPEG. Few as they are, they get an index, and are read in chunks."""
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(headers, "MANY", 1)
    monkeypatch.setattr(headers, "CHUNK", 3)
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        Image.new("RGB", (10 + number, 4)).save(tmp_path / "images" / f"{number}.{('png', 'jpg')[number % 2]}")
    return tmp_path / "images"


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that were opened since one looked."""
    names = []
    size = headers._size

    def noting(path, is_file):
        names.append(path.rpartition("/")[2])
        return size(path, is_file)

    monkeypatch.setattr(headers, "_size", noting)

    def since():
        found = sorted(names)
        names.clear()
        return found

    return since


def sizes(folder):
    return {path.name: size for path, size in check_images(list_images(folder)).items()}


EXPECTED = {f"{number}.{('png', 'jpg')[number % 2]}": (10 + number, 4) for number in range(COUNT)}


def kept():
    return list(cache_dir().rglob("*.npz"))


def test_what_did_not_change_is_not_opened_again(folder, opened):
    assert sizes(folder) == EXPECTED and opened() == sorted(EXPECTED)
    assert sizes(folder) == EXPECTED and opened() == []
    assert sizes(folder.parent / "images" / ".." / "images") == EXPECTED and opened() == []
    (folder.parent / "link").symlink_to(folder)
    assert sizes(folder.parent / "link") == EXPECTED and opened() == []
    assert len(kept()) == 1 and list(folder.iterdir()) == list(
        folder.glob("?.*")
    )  # nothing is written among the images


def test_what_changed_is_read_again(folder, opened):
    sizes(folder), opened()
    Image.new("RGB", (99, 5)).save(folder / "3.jpg")
    os.utime(folder / "4.png", ns=(0, 0))
    (folder / "5.jpg").chmod(0o600)  # it may be unreadable now, which no other time tells
    assert sizes(folder) == {**EXPECTED, "3.jpg": (99, 5)} and opened() == ["3.jpg", "4.png", "5.jpg"]
    assert sizes(folder)["3.jpg"] == (99, 5) and opened() == []
    content = (folder / "6.png").read_bytes()
    (folder / "7.jpg").unlink()
    (folder / "6.png").rename(folder / "60.png")
    (folder / "1a.png").write_bytes(content)
    now = sizes(folder)
    assert list(now) == ["0.png", "1.jpg", "1a.png", "2.png", "3.jpg", "4.png", "5.jpg", "60.png"]
    assert now["1a.png"] == now["60.png"] == (16, 4) and opened() == ["1a.png", "60.png"]
    assert sizes(folder) == now and opened() == []


def test_bad_files_are_looked_at_every_time(folder, opened):
    sizes(folder), opened()
    good = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DataError, match=r"1 of 8 images cannot be used: .*/2\.png: is empty"):
            sizes(folder)
        assert opened() == ["2.png"]
    (folder / "2.png").write_bytes(good)
    assert sizes(folder) == EXPECTED and opened() == ["2.png"]


def test_skipping_keeps_the_good_ones(folder, opened, caplog):
    (folder / "2.png").write_bytes(b"text")
    for again in (False, True):
        found = check_images(list_images(folder), "skip")
        assert [path.name for path in found] == [name for name in EXPECTED if name != "2.png"]
        assert found.good.tolist() == [number != 2 for number in range(COUNT)]
        assert found.sizes.tolist() == [[10 + number, 4] for number in range(COUNT) if number != 2]
        assert found.paths == list(found)
        assert opened() == (["2.png"] if again else sorted(EXPECTED))
    assert [record.getMessage().partition("2.png")[2] for record in caplog.records] == [
        ": is not a readable JPEG, PNG, WebP, BMP, TIFF or PPM image; it holds text: 'text'"
    ] * 2


def test_parts_of_a_folder_share_what_is_known_of_it(folder, opened):
    paths = list_images(folder)
    assert len(check_images(paths[:-2])) == 6 and len(opened()) == 6
    assert list(check_images(paths[-2:]).sizes[:, 0]) == [16, 17] and opened() == ["6.png", "7.jpg"]
    assert sizes(folder) == EXPECTED and opened() == []
    assert check_images(list_images(folder)[::-1]).sizes[:, 0].tolist() == list(range(17, 9, -1)) and opened() == []


def test_lists_are_kept_by_the_list(folder, opened):
    (folder.parent / "list.txt").write_text("3.jpg\n../images/1.jpg\n3.jpg\n./0.png\n")
    for again in (False, True):
        found = check_images(read_list(folder.parent / "list.txt", folder))
        assert found.sizes[:, 0].tolist() == [13, 11, 13, 10] and len(found.paths) == 4 and len(found) == 3
        assert opened() == ([] if again else ["0.png", "1.jpg", "3.jpg", "3.jpg"])
    assert sizes(folder) == EXPECTED and len(kept()) == 2


def test_plain_lists_of_paths_are_not_kept(folder, opened):
    for _ in range(2):
        assert len(check_images(sorted(folder.iterdir()))) == COUNT and len(opened()) == COUNT
    assert not kept()


def test_small_folders_are_not_kept(folder, opened, monkeypatch):
    monkeypatch.setattr(headers, "MANY", COUNT + 1)
    for _ in range(2):
        assert sizes(folder) == EXPECTED and len(opened()) == COUNT
    assert not cache_dir().exists()


def with_arrays(**changes):
    """What makes a file of the cache one with other arrays; None leaves one out."""

    def rewrite(data):
        with np.load(io.BytesIO(data)) as arrays:
            parts = {name: changes.get(name, lambda array: array)(array) for name, array in arrays.items()}
        np.savez(out := io.BytesIO(), **{name: array for name, array in parts.items() if array is not None})
        return out.getvalue()

    return rewrite


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "a bit": lambda data: data.replace(np.arange(10, 12, dtype=np.int32).tobytes()[:4], b"\x63\0\0\0", 1),
    "no archive": lambda data: b"\x93NUMPY" + data,
    "text": lambda data: b"hello",
    "another version": with_arrays(version=lambda array: np.array("another")),
    "too few stamps": with_arrays(stamps=lambda array: array[1:]),
    "no sizes": with_arrays(sizes=lambda array: np.array(3)),
    "objects": with_arrays(text=lambda array: np.array([object()])),
    "other kinds": with_arrays(sizes=lambda array: array.astype("S3")),
    "a part is missing": with_arrays(ends=lambda array: None),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_cache_is_built_anew(folder, opened, how):
    sizes(folder), opened()
    (file,) = kept()
    damaged = DAMAGE[how](file.read_bytes())
    assert damaged != file.read_bytes()
    file.write_bytes(damaged)
    assert sizes(folder) == EXPECTED and len(opened()) == COUNT
    assert sizes(folder) == EXPECTED and opened() == []


@pytest.mark.parametrize("place", ["a file", "read-only", "full", "folder"])
def test_a_cache_that_cannot_be_written_only_costs_time(folder, opened, monkeypatch, place):
    if place == "a file":
        cache_dir().write_text("")
    elif place == "folder":
        sizes(folder), opened()
        (file,) = kept()
        file.unlink()
        (file / "inside").mkdir(parents=True)
    else:

        def refuse(*arguments, **options):
            raise OSError(30 if place == "read-only" else 28, "no")

        where = (headers, "made_whole") if place == "read-only" else (headers.np, "savez")
        monkeypatch.setattr(*where, refuse)
    for _ in range(2):
        assert sizes(folder) == EXPECTED and len(opened()) == COUNT
    assert not cache_dir().is_dir() or not list(cache_dir().rglob("*.part"))


def _check_often(folder, results):
    headers.MANY = 1
    results.put([sizes(folder) == EXPECTED for _ in range(20)])


def test_several_processes_at_once(folder):
    context = get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_check_often, args=(folder, results)) for _ in range(3)]
    for process in processes:
        process.start()
    for number in range(20):
        for file in kept():
            file.write_bytes(b"x" * number)  # and somebody damages it
    assert [all(results.get(timeout=60)) for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert not list(cache_dir().rglob("*.part"))


def test_files_that_make_us_wait_are_read_by_several_threads(folder, opened, monkeypatch):
    monkeypatch.setattr(headers, "WAITING", 0)
    threads = set()
    read = headers._read_chunk

    def noting(*arguments):
        threads.add(threading.current_thread())
        return read(*arguments)

    monkeypatch.setattr(headers, "_read_chunk", noting)
    assert sizes(folder) == EXPECTED and len(opened()) == COUNT
    assert len(threads) > 1 and not any(thread.is_alive() for thread in threads - {threading.main_thread()})
    for number in range(COUNT):
        (folder / f"{number}.{('png', 'jpg')[number % 2]}").write_bytes(b"")
    with pytest.raises(DataError, match="8 of 8 images cannot be used") as caught:
        sizes(folder)
    assert [line.split("/")[-1][:5] for line in caught.value.message.splitlines()] == sorted(EXPECTED)[:5]


def test_work_that_takes_long_says_so(folder, monkeypatch, caplog):
    monkeypatch.setattr(headers, "NOTE_AFTER", 0)
    monkeypatch.setattr(headers, "NOTE_EVERY", 0)
    sizes(folder)
    assert [record.getMessage() for record in caplog.records] == [
        "reading the headers of 8 images: 3 are done", "reading the headers of 8 images: 6 are done",
    ]  # fmt: skip
    caplog.clear()
    monkeypatch.undo()
    sizes(folder)
    assert not caplog.records


def test_several_lists_have_one_error(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for number in range(4):
        Image.new("RGB", (10 + number, 4)).save(other / f"{number}.png")
    for bad in (folder / "1.jpg", folder / "3.jpg", other / "0.png", other / "2.png"):
        bad.write_bytes(b"")
    lists = [list_images(folder)[:4], list_images(other)]
    for are_pairs, order in (
        (False, ["1.jpg", "3.jpg", "0.png", "2.png"]),
        (True, ["0.png", "1.jpg", "2.png", "3.jpg"]),
    ):
        with pytest.raises(DataError, match="4 of 8 images cannot be used") as caught:
            check_lists(lists, "error", are_pairs=are_pairs)
        assert [line.split("/")[-1][:5] for line in caught.value.message.splitlines()] == order
        assert "on_bad: skip" in caught.value.fix
    assert [list(good.good) for good in check_lists(lists, "skip")] == [[True, False] * 2, [False, True] * 2]
    pairs = match_stems(*lists, folder, other)
    assert check_pairs(pairs, "skip") == [] == pairs[:0]


def test_data_sets_read_headers_once(folder, opened):
    given = {"a": str(folder), "b": str(folder), "size": 4}
    (folder / "1.jpg").write_bytes(b"")
    for again in (False, True):
        first, second = CATALOG.datasets.get("unpaired_folders")(on_bad="skip", **given).sources("train")
        assert len(first) == len(second) == 7 and first.name(1) == str(folder / "2.png")
        assert len(opened()) == (2 if again else 9)
    (pairs,) = CATALOG.datasets.get("paired_folders")(
        layout="two_folders", on_bad="skip", direction="BtoA", **given
    ).sources("train")
    assert len(pairs) == 7 and opened() == ["1.jpg", "1.jpg"]
    (folder / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"3 of 7 side-by-side images have an odd width: .*3\.jpg is 13x4"):
        CATALOG.datasets.get("paired_folders")(a=str(folder)).sources("train")
    assert opened() == []
    assert check_halves(list_images(folder)[:1]) == [folder / "0.png"]


def test_a_list_of_two_folders_has_an_index_for_each(folder, opened, tmp_path):
    (tmp_path / "list.txt").write_text("0.png\n1.jpg\n")
    (tmp_path / "others").mkdir()
    for name in ("0.png", "1.jpg"):
        Image.new("RGB", (50, 60)).save(tmp_path / "others" / name)
    lists = [read_list(tmp_path / "list.txt", place) for place in (folder, tmp_path / "others")]
    expected = [[(10, 4), (11, 4)], [(50, 60)] * 2]
    for sees in (["0.png", "1.jpg"] * 2, []):  # each file at the first start, none at the second
        assert [list(check_images(paths).values()) for paths in lists] == expected
        assert opened() == sorted(sees)
    assert len(kept()) == 2
    assert lists[1] == [tmp_path / "others/0.png", tmp_path / "others/1.jpg"]
    (tmp_path / "link").symlink_to(folder)
    assert list(check_images(read_list(tmp_path / "list.txt", tmp_path / "link")).values()) == expected[0]
    assert opened() == [] and len(kept()) == 2
