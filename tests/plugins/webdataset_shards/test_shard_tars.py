"""Tars of others, damaged ones too."""

import io
import random
import tarfile

import pytest
from served_shards import samples, tar_of

from i2i_forge.errors import DataError
from i2i_forge_plugins.webdataset_shards.cache import ShardCache
from i2i_forge_plugins.webdataset_shards.listing import counted


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


def test_headers_that_fill_the_memory_are_refused(tmp_path):
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, 1 << 21
    (tmp_path / "x.tar").write_bytes(info.tobuf() + bytes(1 << 21))
    with pytest.raises(DataError, match=r"x\.tar is damaged, .* headers of more than 1,048,576 bytes"):
        samples(tmp_path / "x.tar", "x.tar", ("",))
