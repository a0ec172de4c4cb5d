"""Downloads against a server of our own: interrupted, resumed, exchanged, refused."""

import errno
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from file_server import serving

from i2i_forge.data.public import RECORD, TABLE, PublicData, fetch, find
from i2i_forge.data.public.inventory import INVENTORY
from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.system.fetch import download

BODY = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving(BODY) as served:
        served.url += "/set.zip"
        yield served


def ranges(server):
    return [asked for _, asked in server.asked]


@pytest.fixture
def part(tmp_path):
    return tmp_path / "set.part"


def interrupted(server, part, after=300_000):
    server.break_after = after
    with pytest.raises(DataError, match=rf"ended after {after:,} of {len(BODY):,} bytes") as caught:
        download(server.url, part)
    assert "same command again" in caught.value.fix
    assert part.read_bytes() == BODY[:after]
    server.break_after = None


def test_a_whole_file(server, part):
    seen = []
    got = download(server.url, part, progress=lambda done, total: seen.append((done, total)))
    assert got == {"url": server.url, "bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
    assert part.read_bytes() == BODY
    assert seen == sorted(seen) and seen[-1] == (len(BODY), len(BODY))
    assert download(server.url, part) == got and len(server.asked) == 1  # nothing is left to ask for


def test_a_truncated_body_is_kept_and_continued(server, part):
    interrupted(server, part)
    assert download(server.url, part)["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert ranges(server) == [None, "bytes=300000-"] and part.read_bytes() == BODY


@pytest.mark.parametrize("change", ["no ranges", "another etag", "another etag, If-Range ignored", "another size"])
def test_a_part_that_cannot_be_continued_is_started_anew(server, part, change):
    interrupted(server, part)
    if change == "no ranges":
        server.ranges = False
    else:
        server.body = BODY[::-1] + (b"more" if "size" in change else b"")
        server.if_range = "ignored" not in change and "size" not in change
        server.etag = '"v2"' if "etag" in change else '"v1"'
    download(server.url, part)
    assert part.read_bytes() == server.body


def test_a_file_that_became_shorter(server, part):
    interrupted(server, part)
    server.body, server.if_range = BODY[:1000], False
    assert download(server.url, part)["bytes"] == 1000
    assert ranges(server)[-2:] == ["bytes=300000-", None]


def test_a_part_of_another_address_or_of_nothing_known_is_not_continued(server, part):
    interrupted(server, part)
    download(server.url + "?other", part)
    part.write_bytes(b"something else")
    part.with_name("set.part.json").unlink()
    download(server.url, part)
    assert part.read_bytes() == BODY and not any(ranges(server))


def test_a_server_that_tells_no_size(server, part):
    server.length = False
    assert download(server.url, part)["bytes"] == len(BODY)
    assert download(server.url, part)["bytes"] == len(BODY) and len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_answer_that_is_no_file(server, part, status):
    server.status = status
    with pytest.raises(DataError, match=f"answers {status}"):
        download(server.url, part)
    assert not part.exists()


def test_nobody_answers(server, part):
    url = server.url
    server.server_close()
    with pytest.raises(DataError, match="cannot be read: ") as caught:
        download(url, part, timeout=0.2)
    assert "check the connection" in caught.value.fix


def test_what_the_table_knows_is_checked(server, part):
    good = hashlib.sha256(BODY).hexdigest()
    download(server.url, part, size=len(BODY), sha256=good.upper())
    with pytest.raises(DataError, match=r"SHA-256 .* instead of 00"):
        download(server.url, part, sha256="00" * 32)
    assert not part.exists()
    with pytest.raises(DataError, match="1,024,000 bytes instead of 5"):
        download(server.url, part, size=5)
    server.length = False
    with pytest.raises(DataError, match="bytes 1024000 instead of 5"):
        download(server.url, part, size=5)


def test_offline(server, part, monkeypatch):
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    with pytest.raises(UsageError, match="FORGE_OFFLINE"):
        download(server.url, part)
    assert server.asked == []
    monkeypatch.setenv("FORGE_OFFLINE", "0")
    download(server.url, part)


def test_a_full_disk_before_and_while_writing(server, part, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda path: usage(1, 1, 0))
        with pytest.raises(ResourceError, match=r"the disk has 0\.0 GB"):
            download(server.url, part)
    real = Path.open

    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(path, mode="r", *arguments, **options):
        return Full(path, "wb") if path == part and mode != "rb" else real(path, mode, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(ResourceError, match="No space left") as caught:
            download(server.url, part)
    assert caught.value.exit_code == 8 and "free disk space" in caught.value.fix
    assert download(server.url, part)["bytes"] == len(BODY)


# ---- data sets ---------------------------------------------------------------------------------------------------


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file.getvalue()


@pytest.fixture
def data(server):
    server.body = zipped("set/trainA/1.jpg", "set/trainB/1.jpg")
    return PublicData("mine", server.url, "two_folders", "a, b")


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_data_set_arrives_with_its_record(data, server, tmp_path):
    out = tmp_path / "deep/datasets"
    got = fetch(data, out)
    assert got.is_new and got.folder == out / "mine" and entries(out) == ["mine"]
    assert (out / "mine/trainA/1.jpg").read_text() == "set/trainA/1.jpg"
    record = json.loads((out / "mine" / RECORD).read_text())
    assert record == got.record
    assert (record["bytes"], record["files"]) == (len(server.body), 2)
    assert set(record) == {"url", "bytes", "sha256", "date", "files"}
    again = fetch(data, out)
    assert not again.is_new and again.record == record and len(server.asked) == 1


def test_an_interrupted_data_set_goes_on_and_leaves_nothing_half(data, server, tmp_path):
    server.break_after = 20
    with pytest.raises(DataError, match="ended after 20"):
        fetch(data, tmp_path)
    assert entries(tmp_path) == ["mine.part", "mine.part.json"]
    (tmp_path / ".mine.unpacking").mkdir()  # a process that was killed
    (tmp_path / ".mine.unpacking/old.jpg").touch()
    server.break_after = None
    fetch(data, tmp_path)
    assert entries(tmp_path) == ["mine"] and entries(tmp_path / "mine") == [RECORD, INVENTORY, "trainA", "trainB"]
    assert ranges(server) == [None, "bytes=20-"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "neither a zip"),
        (zipped("readme.txt"), "no folder trainA and trainB; it holds readme.txt"),
        (zipped("set/trainA/1.jpg", "../evil.jpg"), "leads out"),
        (zipped("set/trainA/1.jpg", "set/trainB/1.jpg")[:-30], "damaged"),
    ],
)
def test_an_archive_that_is_not_the_data_set_leaves_nothing(data, server, tmp_path, body, words):
    server.body = body
    with pytest.raises(DataError, match=words):
        fetch(data, tmp_path / "out")
    assert entries(tmp_path / "out") == [] and entries(tmp_path) == ["out"]


def test_nothing_is_written_over(data, server, tmp_path):
    (tmp_path / "mine").mkdir()
    fetch(data, tmp_path)  # an empty folder is no loss
    (tmp_path / "mine" / RECORD).unlink()
    with pytest.raises(UsageError, match="something else already"):
        fetch(data, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        fetch(data, tmp_path / "file")


def test_two_processes_do_not_mix(data, tmp_path):
    import fcntl

    with (tmp_path / "mine.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process"):
            fetch(data, tmp_path)
    assert fetch(data, tmp_path).is_new


def test_the_table():
    assert len({entry.name for entry in TABLE}) == len({entry.url for entry in TABLE}) == len(TABLE)
    assert find("maps").kind == "paired" and find("maps_unpaired").url.endswith("/maps.zip")
    assert find("edges2shoes").top == "edges2shoes" and find("facades_unpaired").top == "facades"
    with pytest.raises(UsageError, match="no public data set 'edge2shoes'") as caught:
        find("edge2shoes")
    assert "did you mean 'edges2shoes'?" in caught.value.fix
