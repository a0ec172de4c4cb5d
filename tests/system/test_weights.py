"""The cache of pretrained weights, against a server of our own, and the manifest against the packages it speaks of."""

import hashlib
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from file_server import Server, serving
from loaded import CATALOG

from i2i_forge.errors import DataError, UsageError
from i2i_forge.system.weights import MANIFEST, Weights, fetch, find, inspect, path_of, required

BODY = bytes(range(256)) * 400
SHA256 = hashlib.sha256(BODY).hexdigest()
FILE = f"tiny-{SHA256[:8]}.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    return tmp_path / "weights"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(BODY) as served:
        yield served


@pytest.fixture
def entry(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    made = Weights("tiny", f"{server.url}/{FILE}", "a tiny network", "nobody", "CC0-1.0", 1, SHA256[:8])
    monkeypatch.setitem(MANIFEST, "tiny", made)
    return made


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_fetched_file_lies_there_with_its_record(entry: Weights, server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    record = fetch(entry, progress=lambda done, total: seen.append((done, total)))
    assert (cache / FILE).read_bytes() == BODY and entries(cache) == [FILE, f"{FILE}.json"]
    assert json.loads((cache / f"{FILE}.json").read_text()) == record
    assert record.items() >= {"url": entry.url, "bytes": len(BODY), "sha256": SHA256}.items()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(record["date"])) < timedelta(minutes=1)
    assert seen[-1] == (len(BODY), len(BODY))
    assert required("tiny") == path_of(entry) == cache / FILE
    found = inspect(entry)
    assert (found.status, found.problem, found.sha256, found.record) == ("ok", "", SHA256, record)


def test_an_interrupted_download_goes_on(entry: Weights, server: Server, cache: Path) -> None:
    server.break_after = 60_000
    with pytest.raises(DataError, match=r"ended after 60,000 of 102,400 bytes"):
        fetch(entry)
    assert entries(cache) == [f"{FILE}.part", f"{FILE}.part.json"] and inspect(entry).status == "missing"
    server.break_after = None
    fetch(entry)
    assert server.asked == [(f"/dir/{FILE}", None), (f"/dir/{FILE}", "bytes=60000-")]
    assert inspect(entry).status == "ok" and entries(cache) == [FILE, f"{FILE}.json"]


@pytest.mark.parametrize("mirror", ["{}/models", "{}/models/"])
def test_a_mirror(mirror: str, entry: Weights, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_WEIGHTS_URL", mirror.format(server.url))
    assert fetch(entry)["url"] == f"{server.url}/models/{FILE}"
    assert [path for path, _ in server.asked] == [f"/dir/models/{FILE}"]


def test_a_mirror_that_is_no_address(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_WEIGHTS_URL", "file:///mirror")
    with pytest.raises(UsageError, match="FORGE_WEIGHTS_URL is 'file:///mirror'"):
        fetch(entry)


# ---- what is in the cache --------------------------------------------------------------------------------------------


def test_missing_weights_say_how_to_get_them(entry: Weights, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as caught:
        required("tiny", by="lpips")
    assert caught.value.message == (
        f"lpips needs the weights of tiny (a tiny network), and {cache / FILE} does not exist"
    )
    assert caught.value.fix == "forge weights get tiny"
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        required("tiny")
    assert f"copy {entry.url} to {cache / FILE}" in caught.value.fix


@pytest.mark.parametrize("place", [0, len(BODY) // 2, len(BODY) - 1])
def test_one_flipped_bit_is_found_and_mended(place: int, entry: Weights, cache: Path) -> None:
    fetch(entry)
    damaged = bytearray(BODY)
    damaged[place] ^= 1
    (cache / FILE).write_bytes(damaged)
    with pytest.raises(
        DataError, match=rf"{FILE} is not the published file: SHA-256 \w{{8}}\.\.\. instead of"
    ) as caught:
        required("tiny")
    assert caught.value.fix == "forge weights get tiny"
    fetch(entry)
    assert inspect(entry).status == "ok"


def test_the_record_tells_files_apart_whose_first_digits_agree(entry: Weights, cache: Path) -> None:
    record = fetch(entry)
    other = SHA256[:8] + hashlib.sha256(b"other").hexdigest()[8:]
    (cache / f"{FILE}.json").write_text(json.dumps(record | {"sha256": other}))
    with pytest.raises(DataError, match="has changed since"):
        required("tiny")


@pytest.mark.parametrize("record", [None, "", "{", "[1]"])
def test_a_copy_made_by_hand_is_compared_with_the_manifest(record: str | None, entry: Weights, cache: Path) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(BODY)
    if record is not None:
        (cache / f"{FILE}.json").write_text(record)
    found = inspect(entry)
    assert (found.status, found.record) == ("ok", {})


def test_a_file_that_cannot_be_read(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(entry)

    def refused(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refused)
    with pytest.raises(DataError, match=f"{FILE} cannot be read: Permission denied"):
        required("tiny")


def test_a_loss_names_the_command_that_gets_its_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loss = CATALOG.losses.get("domain_invariant_perceptual_torchvision")
    with pytest.raises(DataError) as caught:
        loss()
    assert caught.value.fix.startswith("forge weights get vgg16, or put a state dict")
    with pytest.raises(DataError) as caught:
        loss(weights="mine.pth")  # the command would not bring that file
    assert caught.value.fix.startswith("put a state dict")


# ---- the manifest ----------------------------------------------------------------------------------------------------


def test_each_entry_is_of_its_own() -> None:
    assert set(MANIFEST) == {"alexnet", "vgg16", "squeezenet1_1", "inception_v3", "inception_tf"}
    assert len({entry.file for entry in MANIFEST.values()}) == len(MANIFEST)
    for name, entry in MANIFEST.items():
        assert entry.name == name and entry.url.startswith("https://")
        assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", entry.sha256)
        assert entry.file.endswith(f"-{entry.sha256[:8]}.pth")


@pytest.mark.parametrize(
    ("name", "weights"),
    [("alexnet", "AlexNet"), ("vgg16", "VGG16"), ("squeezenet1_1", "SqueezeNet1_1"), ("inception_v3", "Inception_V3")],
)
def test_torchvision_has_the_same_addresses_and_sizes(name: str, weights: str) -> None:
    from torchvision import models

    known = getattr(models, f"{weights}_Weights").IMAGENET1K_V1
    assert find(name).url == known.url
    assert find(name).megabytes == round(known.meta["_file_size"] * 2**20 / 1e6)


def test_torch_fidelity_has_the_same_address() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    assert find("inception_tf").url == URL_INCEPTION_V3


def test_looking_at_weights_needs_no_torch() -> None:
    program = "import sys, i2i_forge.system.weights; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
