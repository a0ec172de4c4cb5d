"""Files that were made to do harm: refused with little memory, and nothing outside their folder is opened."""

import gzip
import json
import subprocess
import sys

import numpy as np
from tifffile import TiffFile, imwrite

READ = """
import json, pathlib, sys, tracemalloc
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data import BadImage
import tifffile, imagecodecs
formats = {entry.name: entry.component() for entry in load_plugins().catalog.files.entries()}
folder, opened, found = pathlib.Path(sys.argv[1]), [], {}
tracemalloc.start()
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
for path in sorted(folder.iterdir()):
    (made,) = [each for each in formats.values() if each.sniff(path.read_bytes()[:512], path)]
    try:
        made.open(path).array()
        found[path.name] = "read"
    except BadImage as error:
        found[path.name] = "refused"
print(json.dumps({"found": found, "opened": opened, "bytes": tracemalloc.get_traced_memory()[1]}))
"""


def test_nothing_outside_is_opened_and_little_memory_taken(tmp_path, monkeypatch):
    folder, outside = tmp_path / "inner", tmp_path / "x.raw"
    folder.mkdir()
    outside.write_bytes(bytes(8))
    np.save(folder / "object.npy", np.array([[{}]], object))
    text = "{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999, 1)}".ljust(117) + "\n"
    (folder / "claims.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    meta = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = "
    (folder / "climbs.mhd").write_text(f"{meta}../x.raw\n")
    (folder / "absolute.mhd").write_text(f"{meta}{outside}\n")
    nrrd = "NRRD0005\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: "
    (folder / "passwords.nhdr").write_text(f"{nrrd}raw\ndata file: /etc/passwd\n")
    (folder / "bomb.nrrd").write_bytes(f"{nrrd}gzip\n\n".encode() + gzip.compress(bytes(100_000_000), 1))
    imwrite(tmp_path / "other.ome.tif", np.zeros((5, 5), np.uint8), ome=True)
    imwrite(folder / "part.ome.tif", np.zeros((5, 5), np.uint8), ome=True)
    with TiffFile(folder / "part.ome.tif", mode="r+") as file:
        named = 'PlaneCount="1"><UUID FileName="../other.ome.tif">urn:uuid:1</UUID></TiffData>'
        text = file.pages[0].tags[270].value
        assert 'PlaneCount="1"/>' in text
        file.pages[0].tags[270].overwrite(text.replace('PlaneCount="1"/>', named))
    monkeypatch.setenv("FORGE_PLUGINS", "image_files")
    done = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert set(said["found"]) == {file.name for file in folder.iterdir()}
    assert [name for name, result in said["found"].items() if result == "read"] == ["part.ome.tif"]
    read = {path for path in said["opened"] if str(tmp_path) in path or path.startswith("/etc")}
    assert read and all(path.startswith(str(folder)) for path in read) and said["bytes"] < 50_000_000
