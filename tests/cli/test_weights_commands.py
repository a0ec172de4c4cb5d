"""forge weights."""

import hashlib
import json

import pytest
from file_server import serving

from i2i_forge.system.weights import MANIFEST, Weights

BODY = b"not really weights"
SHA256 = hashlib.sha256(BODY).hexdigest()
FILE = f"tiny-{SHA256[:8]}.pth"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    return tmp_path / "weights"


@pytest.fixture
def server(cache, monkeypatch):
    """Has the file of the entry `tiny`."""
    monkeypatch.setenv("no_proxy", "*")
    with serving(BODY) as served:
        made = Weights("tiny", f"{served.url}/{FILE}", "a tiny network", "nobody", "CC0-1.0", 1, SHA256[:8])
        monkeypatch.setitem(MANIFEST, "tiny", made)
        yield served


def test_get_brings_a_file_once(forge, server, cache):
    code, out, err = forge("weights", "get", "tiny", "tiny")
    assert (code, out) == (0, f"{cache / FILE}\n") and "tiny: 0.0 of 0.0 MB (100 %)" in err
    assert (cache / FILE).read_bytes() == BODY
    code, out, err = forge("weights", "get", "tiny")
    assert (code, out) == (0, f"{cache / FILE}\n") and "is there already" in err
    assert len(server.asked) == 1


def test_get_as_json(forge, server, cache):
    code, out, _ = forge("weights", "get", "tiny", "--json")
    row = json.loads(out)["tiny"]
    assert code == 0 and row.pop("date")
    assert row == {
        "path": str(cache / FILE), "new": True, "url": f"{server.url}/{FILE}", "bytes": len(BODY), "sha256": SHA256,
    }  # fmt: skip
    again = json.loads(forge("weights", "get", "tiny", "--json")[1])["tiny"]
    assert again.pop("date") and again == row | {"new": False}


def test_get_replaces_a_damaged_file(forge, server, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(BODY[:-1])
    code, _, err = forge("weights", "get", "tiny")
    assert code == 0 and f"{cache / FILE} is not the published file" in err and "it is replaced" in err
    assert (cache / FILE).read_bytes() == BODY


def test_a_download_that_fails_keeps_what_was_there(forge, server, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(BODY[:-1])
    server.body = b"<html>something else</html>"
    code, out, err = forge("weights", "get", "tiny")
    assert (code, out) == (4, "") and "is not the expected file: SHA-256" in err
    assert (cache / FILE).read_bytes() == BODY[:-1]


def test_get_says_what_it_did_not_do(forge, server, cache, monkeypatch):
    code, out, err = forge("weights", "get", "tniy")
    assert (code, out) == (2, "") and "did you mean 'tiny'?" in err
    assert forge("weights", "get")[0] == 2
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    code, out, err = forge("weights", "get", "tiny")
    assert (code, out) == (2, "") and "FORGE_OFFLINE" in err and f"copy {server.url}/{FILE} to {cache / FILE}" in err
    assert server.asked == [] and not cache.exists()


def test_list(forge, server, cache):
    def there(name):
        [line] = [line for line in forge("weights", "list")[1].splitlines() if f" {name} " in line]
        return line.split("│")[-2].strip()

    code, out, err = forge("weights", "list")
    assert (code, err) == (0, "")
    for entry in MANIFEST.values():
        assert entry.file in out and f"{entry.megabytes} MB" in out and entry.licence in out
    assert there("tiny") == "no"
    forge("weights", "get", "tiny")
    assert (there("tiny"), there("alexnet")) == ("yes", "no")
    rows = {row["name"]: row for row in json.loads(forge("weights", "list", "--json")[1])}
    assert list(rows) == list(MANIFEST)
    assert rows["tiny"] == {
        "name": "tiny", "url": f"{server.url}/{FILE}", "about": "a tiny network", "needed_by": "nobody",
        "licence": "CC0-1.0", "megabytes": 1, "sha256": SHA256[:8], "file": FILE, "path": str(cache / FILE),
        "there": True,
    }  # fmt: skip


def test_verify(forge, server, cache):
    assert forge("weights", "verify") == (0, "", "no weights are there\n")
    forge("weights", "get", "tiny")
    for names in ((), ("tiny",)):
        assert forge("weights", "verify", *names) == (0, f"tiny: ok, {cache / FILE} has SHA-256 {SHA256}\n", "")
    code, out, err = forge("weights", "verify", "tiny", "alexnet")
    assert code == 4 and f"alexnet: {cache}/alexnet-owt-7be5be79.pth does not exist" in out
    assert "1 of 2 files of weights are missing or damaged: alexnet\nfix: forge weights get alexnet\n" in err
    (cache / FILE).write_bytes(BODY[:-1])
    code, out, err = forge("weights", "verify")
    assert code == 4 and f"tiny: {cache / FILE} is not the published file" in out
    assert "fix: forge weights get tiny" in err
    assert forge("weights", "verify", "tniy")[0] == 2


def test_verify_as_json(forge, server, cache):
    assert forge("weights", "verify", "--json") == (0, "{}\n", "")
    forge("weights", "get", "tiny")
    code, out, _ = forge("weights", "verify", "--json")
    row = json.loads(out)["tiny"]
    assert code == 0 and row.pop("record")["sha256"] == SHA256
    assert row == {"path": str(cache / FILE), "status": "ok", "problem": "", "sha256": SHA256}
    (cache / FILE).unlink()
    code, out, err = forge("weights", "verify", "tiny", "--json")
    assert code == 4 and json.loads(out)["tiny"]["status"] == "missing" and "forge weights get tiny" in err
