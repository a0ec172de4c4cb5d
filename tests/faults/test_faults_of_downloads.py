"""Downloads, from a server on this machine: 73, 98."""

import io
import zipfile

import pytest
from file_server import serving

from i2i_forge.errors import DataError
from i2i_forge.system.fetch import web
from i2i_forge.system.public_data import PublicData, fetch
from i2i_forge.system.weights import MANIFEST, path_of
from i2i_forge.system.weights import fetch as fetch_weights


def zipped(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


IMAGES = {f"set/train{domain}/{number}.jpg": bytes([number]) * 999 for domain in "AB" for number in range(9)}


# ---- 73 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving(zipped(IMAGES)) as served:
        yield served


@pytest.fixture
def data(server):
    return PublicData("mine", f"{server.url}/set.zip", "two_folders", "a, b", bytes=len(server.body))


def arrives(data, out):
    """The whole set is there, and nothing else."""
    folder = fetch(data, out).folder
    found = {f"set/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*.jpg")}
    assert found == IMAGES and [p.name for p in out.iterdir()] == ["mine"]


def fails(data, out, words):
    """One message, and no folder that could be taken for the set."""
    with pytest.raises(DataError, match=words) as caught:
        fetch(data, out)
    assert caught.value.fix and len(str(caught.value).splitlines()) <= 6
    assert not (out / "mine").exists()


def test_73_an_interrupted_download_goes_on(server, data, tmp_path):
    server.break_after, left = 700, tmp_path / "out/.mine.part"
    fails(data, tmp_path / "out", "ended after 700 of")
    assert sorted(path.name for path in left.parent.iterdir()) == ["mine.part", "mine.part.json"]
    left.mkdir()  # by a process that was killed while it unpacked
    (left / "old.jpg").touch()
    server.break_after = None
    arrives(data, tmp_path / "out")
    assert [asked for _, asked in server.asked] == [None, "bytes=700-"]


def test_73_a_falsified_file_is_deleted_and_reported(server, tmp_path):
    data = PublicData("mine", f"{server.url}/set.zip", "two_folders", "a, b", sha256="00" * 32)
    fails(data, tmp_path / "out", "is not the expected file: SHA-256")
    assert not list((tmp_path / "out").iterdir())


def test_73_a_server_without_ranges(server, data, tmp_path):
    server.break_after, server.ranges = 700, False
    fails(data, tmp_path / "out", "ended after 700 of")
    server.break_after = None
    arrives(data, tmp_path / "out")


def test_73_a_truncated_body_of_a_server_that_tells_no_size(server, data, tmp_path):
    server.break_after, server.length = 700, False
    fails(data, tmp_path / "out", "is not the expected file: bytes 700")
    server.break_after = None
    arrives(data, tmp_path / "out")


def test_73_an_error_page(server, tmp_path):
    data = PublicData("mine", f"{server.url}/set.zip", "two_folders", "a, b")
    server.status = 404
    fails(data, tmp_path / "out", "the server answers 404")
    server.status, server.body = 200, b"<!DOCTYPE html><html>404 Not Found</html>"
    fails(data, tmp_path / "out", "neither a zip nor a tar.gz archive; it begins b'<!DO'")
    server.body = zipped(IMAGES)
    arrives(data, tmp_path / "out")


@pytest.mark.parametrize("harm", ["truncated", "gone", "changed"])
def test_73_what_is_there_already_is_verified(data, tmp_path, harm):
    arrives(data, tmp_path)
    file = tmp_path / "mine" / "trainB" / "3.jpg"
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(IMAGES["set/trainB/3.jpg"][:-9] + b"x" * 9 * (harm == "changed"))
    with pytest.raises(
        DataError, match=r"mine: 1 files are gone or not as they were unpacked: trainB/3\.jpg"
    ) as caught:
        fetch(data, tmp_path)
    assert "remove the folder" in caught.value.fix
    (tmp_path / "mine" / "notes.txt").touch()  # what was added does not matter
    file.write_bytes(IMAGES["set/trainB/3.jpg"])
    assert not fetch(data, tmp_path).is_new


# ---- 98 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells", [True, False])
def test_98_an_answer_without_end(server, tmp_path, tells):
    data = PublicData("mine", f"{server.url}/set.zip", "two_folders", "a, b", largest=1000)
    server.length, server.body = tells, bytes(100_000)
    fails(data, tmp_path / "out", "has more than 1,000 bytes: it is not the expected file")
    assert not list((tmp_path / "out").iterdir())


def test_98_weights_without_end(server, monkeypatch):
    entry = MANIFEST["squeezenet1_1"]
    monkeypatch.setenv("FORGE_WEIGHTS_URL", server.url)
    server.length, server.body = False, bytes(entry.megabytes * 2_000_000)
    with pytest.raises(DataError, match="has more than 6,600,000 bytes"):
        fetch_weights(entry)
    assert not path_of(entry).exists()


@pytest.mark.parametrize("after", [0, 900], ids=["headers", "body"])
def test_98_a_byte_now_and_then(server, data, tmp_path, monkeypatch, after):
    monkeypatch.setattr(web, "PATIENCE", 0.3)
    server.drips_after = after
    fails(data, tmp_path / "out", r"less than 1,000 bytes a second came in \d+ seconds")
    server.drips_after = None
    arrives(data, tmp_path / "out")
    goes_on = server.asked[-1][1]
    assert goes_on is None if not after else goes_on and goes_on.startswith("bytes=")


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:9/set.zip", "http://localhost/set.zip", "ftp://127.0.0.1/set.zip", "file:///etc/passwd"]
)
def test_98_a_redirect_that_leads_elsewhere(server, data, tmp_path, place):
    server.redirect = place
    fails(data, tmp_path / "out", "the server answers 302")
    assert len(server.asked) == 1


def test_98_a_redirect_to_the_same_server(server, data, tmp_path):
    server.redirect = "/elsewhere/set.zip"
    arrives(data, tmp_path / "out")
    assert [path for path, _ in server.asked] == ["/dir/set.zip", "/elsewhere/set.zip"]


FIRST = "https://weights.example/a.pth"


@pytest.mark.parametrize(
    ("first", "place", "followed"),
    [
        (FIRST, "https://files.example/b.pth", True),
        (FIRST, "http://files.example/b.pth", False),
        (FIRST, "http://weights.example/a.pth", False),
        (FIRST, f"http://{sorted(web.HOSTS)[0]}/b.zip", True),
        (FIRST, "https://localhost/b.pth", False),
        (FIRST, "https://x.localhost./b.pth", False),
        (FIRST, "https://127.1/b.pth", False),
        (FIRST, "https://2130706433/b.pth", False),
        (FIRST, "https://127%2e0%2e0%2e1/b.pth", False),
        (FIRST, "https://%e2%93%9bocalhost/b.pth", False),
        (FIRST, "https://[::1]/b.pth", False),
        (FIRST, "https://10.0.0.1/b.pth", False),
        (FIRST, "https://1.1.1.1/b.pth", True),
        (FIRST, "file:///etc/passwd", False),
        ("http://mirror:8000/a.pth", "http://mirror:8000/b.pth", True),
        ("http://mirror:8000/a.pth", "http://mirror:9000/b.pth", False),
        ("http://mirror:8000/a.pth", "https://mirror:8000/b.pth", True),
        ("http://mirror/a.pth", "http://mirror@evil.example/b.pth", False),
    ],
)
def test_98_where_redirects_may_lead(first, place, followed):
    assert web.is_followed(place, first) is followed
