"""Downloads, from a server on this machine: 73, 98. Archives that mean harm: 74, 97."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest
from file_server import serving

from i2i_forge.data.public import Limits, PublicData, extract, fetch
from i2i_forge.errors import DataError
from i2i_forge.system.fetch import web
from i2i_forge.system.weights import MANIFEST, path_of
from i2i_forge.system.weights import fetch as fetch_weights


def zipped(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def tarred(*members):
    """A tar.gz of (TarInfo, content)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
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
    server.break_after = 700
    fails(data, tmp_path / "out", "ended after 700 of")
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


# ---- 74 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def canary(tmp_path):
    """A file that archives aim at."""
    file = tmp_path / "canary.jpg"
    file.write_bytes(b"alive")
    yield file
    assert file.read_bytes() == b"alive"


def refused(tmp_path, archive, words, **options):
    """Nothing is written outside the new folder, and no link or device into it."""
    file = tmp_path / "archive"
    file.write_bytes(archive)
    there = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=words) as caught:
        extract(file, tmp_path / "new", **options)
    assert str(file) in caught.value.message and caught.value.fix
    assert {path.name for path in tmp_path.iterdir()} <= {*there, "new"}
    assert all(path.is_dir() or stat.S_ISREG(path.lstat().st_mode) for path in (tmp_path / "new").rglob("*"))
    return sum(path.lstat().st_size for path in (tmp_path / "new").rglob("*.*"))


def named(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, str(target)
    return info


BOTH = pytest.mark.parametrize("make", [lambda name: zipped({name: b"x"}), lambda name: tarred((named(name), b"x"))])


@BOTH
def test_74_names_that_lead_out(tmp_path, canary, make):
    refused(tmp_path, make("train/../../canary.jpg"), "leads out of its folder")


@BOTH
def test_74_absolute_names(tmp_path, canary, make):
    refused(tmp_path, make(str(canary)), "not a relative path")


@BOTH
@pytest.mark.parametrize("name", ["C:canary.jpg", "..\\canary.jpg", "\\\\host\\share\\canary.jpg"])
def test_74_names_of_other_systems(tmp_path, canary, make, name):
    refused(tmp_path, make(name), "not a relative path")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_74_links_with_a_file_behind_them(tmp_path, canary, kind):
    through = named("link.jpg", kind, canary), b""
    refused(tmp_path, tarred(through, (named("link.jpg"), b"dead")), "is a link")


def test_74_a_chain_of_links_that_is_too_long_to_be_resolved(tmp_path, canary):
    """Above PATH_MAX, realpath stops resolving; Python's own filters fell for it (CVE-2025-4517)."""
    deep = "d" * 240
    members, path = [], ""
    for step in "abcdefghijklmnop":
        members += [
            (named(f"{path}{deep}", tarfile.DIRTYPE), b""),
            (named(f"{path}{step}", tarfile.SYMTYPE, deep), b""),
        ]
        path += f"{deep}/"
    members += [(named("out", tarfile.SYMTYPE, "a/" * 16 + "../" * 17), b""), (named("out/canary.jpg"), b"dead")]
    refused(tmp_path, tarred(*members), "is a link")


def test_74_a_link_in_a_zip(tmp_path, canary):
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(tmp_path, zipped({info: str(canary)}), "is a link")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_74_devices(tmp_path, kind):
    refused(tmp_path, tarred((named("null.jpg", kind), b"")), "neither a file nor a folder")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_74_a_bomb(tmp_path, kind):
    """200 megabytes of nothing in 200 kilobytes."""
    nothing = bytes(200_000_000)
    archive = zipped({"1.bmp": nothing}) if kind == "zip" else tarred((named("1.bmp"), nothing))
    assert len(nothing) > 200 * len(archive)
    assert refused(tmp_path, archive, "unpack to more than") < 100_000_000


def test_74_a_bomb_that_hides_its_size(tmp_path):
    archive = zipped({"1.bmp": bytes(1_000_000)})
    lie = archive.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert refused(tmp_path, lie, "damaged") <= 1000


def test_74_more_members_than_a_data_set_has(tmp_path):
    members = [(named(f"{number}.jpg"), b"") for number in range(60)]
    refused(tmp_path, tarred(*members), "more than 50 members", limits=Limits(members=50))


def test_74_a_million_members(tmp_path):
    """They are counted before their list is in memory: it would take 300 MB."""
    many = zipped({"1.jpg": b"x"})
    start, end = many.index(b"PK\1\2"), many.index(b"PK\5\6")
    directory = many[start:end] * 1_500_000
    tail = many[end : end + 12] + len(directory).to_bytes(4, "little") + many[end + 16 :]
    refused(tmp_path, many[:start] + directory + tail, "list of members is too long")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_74_a_name_twice(tmp_path):
    twice = [(named("1.jpg"), b"one"), (named("./1.jpg"), b"two")]
    refused(tmp_path, tarred(*twice), "is there twice")


def test_74_a_size_below_zero(tmp_path):
    """It sends a reader back in the file for ever (CVE-2025-8194)."""
    content = bytearray(tar_of(named("1.jpg")))
    content[124:136] = b"\xff" * 11 + b"\x80"
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    refused(tmp_path, gzip.compress(bytes(content)), "damaged|refused")


def tar_of(info):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(info, io.BytesIO(b""))
    return target.getvalue()


def test_74_compression_that_takes_what_memory_it_likes(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.jpg", b"x")
    refused(tmp_path, target.getvalue(), "compressed in an unusual way")


# ---- 97 --------------------------------------------------------------------------------------------------------------


def after_a_long_header(kind, size, form=tarfile.GNU_FORMAT):
    """A tar.gz whose second member has a header of nothing, of so many bytes, before it."""
    first, long = named("1.jpg"), named("header", kind)
    long.size = first.size = size
    blocks = first.tobuf(form), bytes(size), long.tobuf(form), bytes(size), tar_of(named("2.jpg"))
    return gzip.compress(b"".join(blocks), 1)


@pytest.mark.parametrize(
    "kind",
    [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK],
)
def test_97_a_header_that_fills_the_memory(tmp_path, kind):
    archive = after_a_long_header(kind, 1 << 24)
    assert refused(tmp_path, archive, "a member has headers of more than 1,048,576 bytes") == 1 << 24


def test_97_the_first_header_too(tmp_path):
    info = named("1.jpg", tarfile.XHDTYPE)
    info.size = 1 << 24
    refused(tmp_path, gzip.compress(info.tobuf() + bytes(1 << 24), 1), "headers of more than")


def test_97_many_headers_one_behind_the_other(tmp_path):
    info = named("header", tarfile.GNUTYPE_LONGNAME)
    info.size = 1 << 19
    refused(tmp_path, gzip.compress((info.tobuf() + bytes(1 << 19)) * 50, 1), "headers of more than")


def test_97_a_list_of_holes_without_end(tmp_path):
    """Each further block of it has a mark that another one follows."""
    info, more = named("1.jpg", tarfile.GNUTYPE_SPARSE), bytearray(b"1".rjust(12, b"0") * 42)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482], head[148:156] = 1, b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    block = bytes(more) + b"\1" + bytes(512 - len(more) - 1)
    refused(tmp_path, gzip.compress(bytes(head) + block * (1 << 15), 1), "headers of more than")


def test_97_long_names_and_large_members_are_no_harm(tmp_path):
    name = "/".join(["d" * 100] * 8) + "/1.jpg"
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}) as archive:
        for member in (name, name.replace("1.jpg", "2.jpg")):
            info = named(member)
            info.size = 3_000_000
            archive.addfile(info, io.BytesIO(bytes(3_000_000)))
    (tmp_path / "archive").write_bytes(target.getvalue())
    assert extract(tmp_path / "archive", tmp_path / "new") == 2
    assert (tmp_path / "new" / name).stat().st_size == 3_000_000


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
