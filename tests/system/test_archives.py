"""Archives that nobody vouches for: what is unpacked, what is left out, what is refused."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib

import pytest

from i2i_forge.data.folders import EXTENSIONS
from i2i_forge.data.public import Limits, extract
from i2i_forge.errors import DataError
from i2i_forge.system.fetch.archive import IMAGES

GOOD = {"set/train/1.jpg": b"one", "set/train/2.JPG": b"two", "set/README.txt": b"words"}


def make_tar(file, members):
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def make_zip(file, members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file


MAKERS = pytest.mark.parametrize("make", [make_tar, make_zip])


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def refused(archive, words, **options):
    with pytest.raises(DataError, match=words) as caught:
        extract(archive, archive.parent / "new" / "folder", **options)
    assert caught.value.fix
    outside = [name for name in names(archive.parent) if not name.startswith("new/folder/")]
    assert outside == [archive.name]


def test_the_endings_are_those_that_are_read():
    assert IMAGES == EXTENSIONS


@MAKERS
def test_images_and_texts_come_out_without_the_top_folder(make, tmp_path):
    junk = {"set/run.sh": b"x", "__MACOSX/train/1.jpg": b"x", "set/train/._1.jpg": b"x", ".x/1.jpg": b"x"}
    archive = make(tmp_path / "a", GOOD | junk)
    assert extract(archive, tmp_path / "out", top="set") == 3
    assert names(tmp_path / "out") == ["README.txt", "train/1.jpg", "train/2.JPG"]
    assert (tmp_path / "out/train/1.jpg").read_bytes() == b"one"
    assert extract(archive, tmp_path / "whole") == 3
    assert "set/train/1.jpg" in names(tmp_path / "whole")


@MAKERS
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/1.jpg", "not a relative path"),
        ("../1.jpg", "leads out"),
        ("train/../../1.jpg", "leads out"),
        ("C:/1.jpg", "not a relative path"),
        ("..\\1.jpg", "not a relative path"),
        ("train/a\nb.jpg", "control characters"),
        ("train/" + "x" * 300 + ".jpg", "too long"),
    ],
)
def test_names_that_are_refused(make, tmp_path, name, words):
    refused(make(tmp_path / "a", {"train/1.jpg": b"x", name: b"evil"}), words)


def test_a_name_with_a_nul_byte_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a", {"evil_.jpg": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"evil_.jpg", b"ev\0l_.jpg"))
    refused(archive, "control characters|damaged")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "is a link"), (tarfile.LNKTYPE, "is a link"), (tarfile.FIFOTYPE, "neither a file"),
        (tarfile.CHRTYPE, "neither a file"), (tarfile.BLKTYPE, "neither a file"),
    ],
)  # fmt: skip
def test_links_and_devices_in_tar_are_refused(tmp_path, kind, words):
    info = tarfile.TarInfo("train/1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(make_tar(tmp_path / "a", {"train/1.jpg": info}), words)


@pytest.mark.parametrize(("kind", "words"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "neither a file")])
def test_links_and_devices_in_zip_are_refused(tmp_path, kind, words):
    info = zipfile.ZipInfo("train/1.jpg")
    info.external_attr = (kind | 0o777) << 16
    refused(make_zip(tmp_path / "a", {info: b"/etc/passwd"}), words)


def test_an_encrypted_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a", {"1.jpg": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "is encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a/1.jpg", "a/./1.jpg", "top/a/1.jpg", "a/1.jpg/2.jpg"])
def test_two_members_of_one_name_are_refused(tmp_path, second):
    with zipfile.ZipFile(tmp_path / "a", "w") as zipped:
        zipped.writestr("a/1.jpg", b"one")
        zipped.writestr(second, b"two")
    refused(tmp_path / "a", "is there twice", top="top")


@MAKERS
def test_bombs_are_refused(make, tmp_path):
    refused(make(tmp_path / "a", {"1.bmp": bytes(10_000_000)}), "unpack to more than", limits=Limits(slack=1000))
    assert sum(p.stat().st_size for p in (tmp_path / "new").rglob("*.bmp")) < 1_000_000
    make(tmp_path / "b", {f"{i}.jpg": b"x" for i in range(5)})
    with pytest.raises(DataError, match="more than 4 members"):
        extract(tmp_path / "b", tmp_path / "b_out", limits=Limits(members=4))
    assert extract(tmp_path / "b", tmp_path / "b_all", limits=Limits(members=5)) == 5


def test_what_tar_hides_is_counted_too(tmp_path):
    """A header of the extended kind is read into memory, whatever size it claims."""
    info = tarfile.TarInfo("1.jpg")
    info.pax_headers = {"comment": "x" * 10_000_000}
    with tarfile.open(tmp_path / "a", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    refused(tmp_path / "a", "unpack to more than", limits=Limits(slack=1000))


@MAKERS
def test_a_damaged_archive_is_an_error_at_every_place(make, tmp_path):
    whole = make(tmp_path / "whole", {f"{i}.jpg": bytes(range(256)) * 8 for i in range(3)}).read_bytes()
    for number, end in enumerate(range(5, len(whole), max(1, len(whole) // 23))):
        (tmp_path / "a").write_bytes(whole[:end])
        with pytest.raises(DataError, match="damaged"):
            extract(tmp_path / "a", tmp_path / f"out{number}")


def test_a_flipped_bit_is_found(tmp_path):
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as zipped:
        zipped.writestr("1.jpg", b"abcdefgh" * 4)
    (tmp_path / "a").write_bytes(stored.getvalue().replace(b"abcdefgh", b"abcdefgX"))
    refused(tmp_path / "a", "damaged")
    tar = gzip.decompress(make_tar(tmp_path / "a", GOOD).read_bytes())
    packed = bytearray(gzip.compress(tar))
    packed[-8:-4] = (zlib.crc32(tar) ^ 1).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(packed)
    with pytest.raises(DataError, match="damaged"):
        extract(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"<html>gone</html>"])
def test_what_is_no_archive_says_what_it_is(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "neither a zip nor a tar.gz")
