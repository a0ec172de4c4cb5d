"""The kit over everything that i2i_forge brings: every promise is kept, and what needs files is given some."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.data import Domains, ImageSpace
from i2i_forge.data.file_formats import Files
from i2i_forge.data.packs import pack, plan_pack
from i2i_forge.recipe.domains import Domain
from i2i_forge.testing.inputs import normal
from i2i_forge.testing.kit import check_loaded

OURS = {plugin.name: plugin for plugin in find_plugins() if plugin.distribution == HOST}
SLOW = {"inception_score", *(c.plugin for c in read_vocabulary(OURS.values()).components if c.kind == "trainers")}
SLOW -= {"pix2pix"}  # the other methods take seconds each; random Inception is the only backbone without files
NEEDS = {
    "lpips_loss": "weights", "perceptual_losses": "weights",
    "image_folders": "folders", "edges_of_photos": "folders", "packed": "folders", "webdataset_shards": "folders",
    "phantom": "volumes", "cases": "volumes",
}  # fmt: skip


def state_of(model):
    """Random weights of a network of torchvision."""
    with torch.device("meta"):
        shapes = getattr(torchvision.models, model)(weights=None).features.state_dict()
    spread = {name: (2 / value[0].numel()) ** 0.5 if value.dim() == 4 else 0.1 for name, value in shapes.items()}
    return {f"features.{name}": normal(*value.shape) * spread[name] for name, value in shapes.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files in the layouts that losses read: plugin -> CHECKS."""
    folder = tmp_path_factory.mktemp("weights")
    vgg = state_of("vgg16")
    places = [(block, place) for block, count in enumerate((2, 2, 3, 3, 3), 1) for place in range(1, count + 1)]
    caffe = zip([f"conv{b}_{p}.{kind}" for b, p in places for kind in ("weight", "bias")], vgg.values(), strict=True)
    for name, state in {"alex": state_of("alexnet"), "vgg": vgg, "caffe": dict(caffe)}.items():
        torch.save(state, folder / name)
    return {
        "lpips_loss": {"lpips": {"options": {"trunk": str(folder / "alex")}}},
        "perceptual_losses": {
            "domain_invariant_perceptual": {"options": {"weights": str(folder / "caffe")}},
            "domain_invariant_perceptual_torchvision": {"options": {"weights": str(folder / "vgg")}},
        },
    }


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Volumes, and what they are, for data sets of measured images: plugin -> CHECKS."""
    root, catalog = tmp_path_factory.mktemp("volumes"), load_plugins().catalog
    files = Files(catalog.files)
    catalog.datasets.get("phantom")().write(root, format=files.format("meta"), ending=".mha")
    measured = {name: ImageSpace(Domain.model_validate({"range": [0, 1000]})) for name in "ab"}
    entry = {"options": {"domains": Domains(measured, files)}}
    places = {"root": str(root), "files": {"a": "{case}/mr.mha", "b": "{case}/ct.mha"}}
    return {
        "phantom": {"phantom": entry},
        "cases": {"cases": {**entry, "options": {**entry["options"], **places}}},
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Images in the layouts that data sets read: plugin -> CHECKS."""
    root = tmp_path_factory.mktemp("images")
    made = load_plugins().catalog.datasets.get("procedural_shoes")(count=3, test_count=2)
    made.write(root)
    for split in ("train", "test"):
        (root / split).mkdir()
        for index in range(2):
            pair = np.concatenate([made.drawing(split, index), made.photo(split, index)], axis=1)
            Image.fromarray(pair).save(root / split / f"{index}.png")
        for domain in "AB":
            names = sorted(file.name for file in (root / f"{split}{domain}").glob("*.*"))
            (root / f"list_{split}_{domain.lower()}.txt").write_text("\n".join(names))
    packs = {layout: root / f"pack_{layout}" for layout in ("two_folders", "side_by_side")}
    for layout, out in packs.items():
        pack(plan_pack(root, layout=layout), out)
    lists = {f"{split}_{domain}": f"list_{split}_{domain}.txt" for split in ("train", "test") for domain in "ab"}
    places = {f"folder_{split}_{domain}": f"{split}{domain.upper()}" for split in ("train", "test") for domain in "ab"}
    small = {"root": str(root), "size": 64}
    return {
        "image_folders": {
            "unpaired_folders": {"options": small},
            "paired_folders": {"options": small},
            "image_lists": {"options": {**small, **lists, **places}},
        },
        "packed": {"packed": {"options": {"root": str(packs["two_folders"]), "size": 64}}},
        "webdataset_shards": {
            "webdataset": {"options": {"shards": str(packs["side_by_side"] / "train-000000.tar"), "size": 64}}
        },
        "edges_of_photos": {"edges_of_photos": {"options": {**small, "photos": "trainB", "test_photos": "testB"}}},
    }


@pytest.fixture(scope="module")
def loaded(host):
    """Name -> plugin, as the kit takes it."""
    return {plugin.name: plugin for plugin in host.plugins}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in OURS])
def test_a_plugin_keeps_its_promises(name, host, loaded, request):
    """What `forge plugin check NAME` checks, and what that leaves out for want of files."""
    given = request.getfixturevalue(NEEDS[name])[name] if name in NEEDS else {}
    results = check_loaded(loaded[name], host, given)
    assert [str(result) for result in results if result.problems] == []
    assert all(result.promise.endswith(".") for result in results)
    said = {**getattr(host.manager.get_plugin(name), "CHECKS", {}), **given}.values()
    assert {r.check for r in results if r.skipped} == {check for entry in said for check in entry.get("skip", ())}


@pytest.mark.parametrize("name", NEEDS)
def test_a_plugin_that_needs_files_says_so_and_is_checked_as_far_as_that_goes(name, host, loaded):
    results = check_loaded(loaded[name], host)
    assert [str(result) for result in results if result.problems] == []
    whys = [result.skipped for result in results if result.check == "runs"]
    assert len(whys) == len(loaded[name].provides) and all(why.startswith("it needs ") for why in whys)
    assert [result for result in results if result.check == "documented_options" and not result.skipped]
