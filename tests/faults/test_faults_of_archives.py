"""Archives that nobody vouches for: what is unpacked, what is left out, and those that mean harm: 74, 97."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib

import pytest

from i2i_forge.data.folders import EXTENSIONS
from i2i_forge.errors import DataError
from i2i_forge.system.fetch.archive import IMAGES, Limits, extract


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, content)."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def tarred(*members, form=tarfile.DEFAULT_FORMAT, **options):
    """A tar.gz of (TarInfo, content)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=form, **options) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def named(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, str(target)
    return info


def tar_of(info):
    return gzip.decompress(tarred((info, b"")))


def packed(kind, *members):
    """An archive of (name, content)."""
    return zipped(*members) if kind == "zip" else tarred(*((named(name), content) for name, content in members))


BOTH = pytest.mark.parametrize("kind", ["zip", "tar"])


@pytest.fixture
def canary(tmp_path):
    """A file that archives aim at."""
    file = tmp_path / "canary.jpg"
    file.write_bytes(b"alive")
    yield file
    assert file.read_bytes() == b"alive"


def unpack(tmp_path, content, folder="new", **options):
    (tmp_path / "archive").write_bytes(content)
    return extract(tmp_path / "archive", tmp_path / folder, **options)


def refused(tmp_path, content, words, **options):
    """Nothing is written outside the new folder, and no link or device into it."""
    there = {"archive", "new", *(path.name for path in tmp_path.iterdir())}
    with pytest.raises(DataError, match=words) as caught:
        unpack(tmp_path, content, **options)
    assert str(tmp_path / "archive") in caught.value.message and caught.value.fix
    assert {path.name for path in tmp_path.iterdir()} <= there
    assert all(path.is_dir() or stat.S_ISREG(path.lstat().st_mode) for path in (tmp_path / "new").rglob("*"))
    return sum(path.lstat().st_size for path in (tmp_path / "new").rglob("*.*"))


# ---- good ones -------------------------------------------------------------------------------------------------------


def test_the_endings_are_those_that_are_read():
    assert IMAGES == EXTENSIONS


@BOTH
def test_images_and_texts_come_out_without_the_top_folder(kind, tmp_path):
    good = {"set/train/1.jpg": b"one", "set/train/2.JPG": b"two", "set/README.txt": b"words"}
    junk = {"set/run.sh": b"x", "__MACOSX/train/1.jpg": b"x", "set/train/._1.jpg": b"x", ".x/1.jpg": b"x"}
    content = packed(kind, *(good | junk).items())
    for top, folder in (("set/", tmp_path / "out"), ("", tmp_path / "whole")):
        assert unpack(tmp_path, content, folder.name, top=top[:-1]) == 3
        found = {f"{top}{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert found == good


def test_97_long_names_and_large_members_are_no_harm(tmp_path):
    name, content = "/".join(["d" * 100] * 8) + "/1.jpg", bytes(3_000_000)
    members = [(named(member), content) for member in (name, name.replace("1.jpg", "2.jpg"))]
    assert unpack(tmp_path, tarred(*members, form=tarfile.PAX_FORMAT, pax_headers={"comment": "c"})) == 2
    assert (tmp_path / "new" / name).stat().st_size == 3_000_000


# ---- damaged ones ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_damaged_archive_is_an_error_at_every_place(kind, tmp_path):
    whole = packed(kind, *((f"{i}.jpg", bytes(range(256)) * 8) for i in range(3)))
    for number, end in enumerate(range(5, len(whole), max(1, len(whole) // 23))):
        with pytest.raises(DataError, match="damaged"):
            unpack(tmp_path, whole[:end], f"out{number}")


def test_a_flipped_bit_is_found(tmp_path):
    stored, tar = zipped(("1.jpg", b"abcdefgh" * 4), method=zipfile.ZIP_STORED), tar_of(named("1.jpg"))
    squeezed = bytearray(gzip.compress(tar))
    squeezed[-8:-4] = (zlib.crc32(tar) ^ 1).to_bytes(4, "little")
    for number, content in enumerate((stored.replace(b"abcdefgh", b"abcdefgX"), bytes(squeezed))):
        with pytest.raises(DataError, match="damaged"):
            unpack(tmp_path, content, f"out{number}")


@pytest.mark.parametrize("content", [b"", b"<html>gone</html>"])
def test_what_is_no_archive_says_what_it_is(tmp_path, content):
    refused(tmp_path, content, "neither a zip nor a tar.gz")


# ---- 74 --------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../canary.jpg", "leads out of its folder"), ("train/../../canary.jpg", "leads out of its folder"),
        ("{}/canary.jpg", "not a relative path"), ("C:canary.jpg", "not a relative path"),
        ("C:/canary.jpg", "not a relative path"), ("..\\canary.jpg", "not a relative path"),
        ("\\\\host\\share\\canary.jpg", "not a relative path"), ("train/a\nb.jpg", "control characters"),
        ("train/" + "x" * 300 + ".jpg", "too long"),
    ],
)  # fmt: skip
def test_74_names_that_lead_elsewhere(tmp_path, canary, kind, name, words):
    refused(tmp_path, packed(kind, ("train/1.jpg", b"x"), (name.format(tmp_path), b"dead")), words)


def test_74_a_name_with_a_nul_byte(tmp_path):
    refused(tmp_path, zipped(("evil_.jpg", b"x")).replace(b"evil_.jpg", b"ev\0l_.jpg"), "control characters|damaged")


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


@pytest.mark.parametrize(("kind", "words"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "neither a file")])
def test_74_links_and_pipes_in_a_zip(tmp_path, canary, kind, words):
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (kind | 0o777) << 16
    refused(tmp_path, zipped((info, str(canary))), words)


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_74_devices(tmp_path, kind):
    refused(tmp_path, tarred((named("null.jpg", kind), b"")), "neither a file nor a folder")


def test_74_an_encrypted_member(tmp_path):
    content = bytearray(zipped(("1.jpg", b"x")))
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, bytes(content), "is encrypted")


def test_74_compression_that_takes_what_memory_it_likes(tmp_path):
    refused(tmp_path, zipped(("1.jpg", b"x"), method=zipfile.ZIP_LZMA), "compressed in an unusual way")


@BOTH
def test_74_a_bomb(tmp_path, kind):
    """200 megabytes of nothing in 200 kilobytes."""
    nothing = bytes(200_000_000)
    archive = packed(kind, ("1.bmp", nothing))
    assert len(nothing) > 200 * len(archive)
    assert refused(tmp_path, archive, "unpack to more than") < 100_000_000


def test_74_a_bomb_that_hides_its_size(tmp_path):
    archive = zipped(("1.bmp", bytes(1_000_000)))
    lie = archive.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert refused(tmp_path, lie, "damaged") <= 1000


@BOTH
def test_74_more_members_than_a_data_set_has(tmp_path, kind):
    archive = packed(kind, *((f"{number}.jpg", b"x") for number in range(5)))
    assert unpack(tmp_path, archive, "all", limits=Limits(members=5)) == 5
    refused(tmp_path, archive, "more than 4 members", limits=Limits(members=4))


def test_74_a_million_members(tmp_path):
    """They are counted before their list is in memory: it would take 300 MB."""
    many = zipped(("1.jpg", b"x"))
    start, end = many.index(b"PK\1\2"), many.index(b"PK\5\6")
    directory = many[start:end] * 1_500_000
    tail = many[end : end + 12] + len(directory).to_bytes(4, "little") + many[end + 16 :]
    refused(tmp_path, many[:start] + directory + tail, "list of members is too long")


@BOTH
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a/1.jpg", "a/./1.jpg", "top/a/1.jpg", "a/1.jpg/2.jpg"])
def test_74_a_name_twice(tmp_path, kind, second):
    refused(tmp_path, packed(kind, ("a/1.jpg", b"one"), (second, b"two")), "is there twice", top="top")


def test_74_a_size_below_zero(tmp_path):
    """It sends a reader back in the file for ever (CVE-2025-8194)."""
    content = bytearray(tar_of(named("1.jpg")))
    content[124:136] = b"\xff" * 11 + b"\x80"
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    refused(tmp_path, gzip.compress(bytes(content)), "damaged|refused")


# ---- 97 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK],
)
def test_97_a_header_that_fills_the_memory(tmp_path, kind):
    """Of nothing, before the second member."""
    first, long = named("1.jpg"), named("header", kind)
    long.size = first.size = 1 << 24
    heads = (info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 24) for info in (first, long))
    archive = gzip.compress(b"".join(heads) + tar_of(named("2.jpg")), 1)
    assert refused(tmp_path, archive, "a member has headers of more than 1,048,576 bytes") == 1 << 24


@pytest.mark.parametrize(
    ("kind", "size", "times"), [(tarfile.XHDTYPE, 1 << 24, 1), (tarfile.GNUTYPE_LONGNAME, 1 << 19, 50)]
)
def test_97_the_first_header_and_many_one_behind_the_other(tmp_path, kind, size, times):
    info = named("header", kind)
    info.size = size
    refused(tmp_path, gzip.compress((info.tobuf() + bytes(size)) * times, 1), "headers of more than")


def test_97_a_list_of_holes_without_end(tmp_path):
    """Each further block of it has a mark that another one follows."""
    info, more = named("1.jpg", tarfile.GNUTYPE_SPARSE), bytearray(b"1".rjust(12, b"0") * 42)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482], head[148:156] = 1, b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    block = bytes(more) + b"\1" + bytes(512 - len(more) - 1)
    refused(tmp_path, gzip.compress(bytes(head) + block * (1 << 15), 1), "headers of more than")


def test_97_what_tar_hides_is_counted_too(tmp_path):
    """A header of the extended kind is read into memory, whatever size it claims."""
    info = named("1.jpg")
    info.pax_headers = {"comment": "x" * 10_000_000}
    content = tarred((info, b""), form=tarfile.PAX_FORMAT)
    refused(tmp_path, content, "unpack to more than", limits=Limits(slack=1000))
