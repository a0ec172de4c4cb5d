"""The kit over everything that i2i_forge brings: every promise is kept, and what needs files is given some."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from i2i_forge.plugins import HOST, find_plugins, load_plugins, read_vocabulary
from i2i_forge.testing.example import example_of
from i2i_forge.testing.importing import import_problems
from i2i_forge.testing.kit import check_component
from i2i_forge.testing.subject import Subject
from i2i_forge.testing.values import images, normal

COMPONENTS = sorted({(c.kind, c.name) for c in read_vocabulary(find_plugins()).components})
VARIANTS = "its discriminator judges pairs or single images, not both in one recipe"
SLOW = {
    ("metrics", "is-tf"): "random Inception is its only backbone without files",
    **{("trainers", name): "seconds each" for kind, name in COMPONENTS if kind == "trainers" and name != "pix2pix"},
}
CHECKS = {
    "conditional_code": {"inputs": lambda network: [images(2), images(2, seed=1)]},
    "decoders.unet": {
        "inputs": lambda network: [[normal(2, c, 32 >> i, 32 >> i) for i, c in enumerate(widths(network))]]
    },
    "gaussian_nll": {"inputs": lambda loss: [normal(2, 8), normal(2, 8, seed=1), normal(2, 8, seed=2)]},
    "feature_matching": {"constant": ["target"]},
    "gradient_penalty": {"constant": ["real", "fake"]},
    "r1": {"constant": ["real"]},
    "bicyclegan": {"recipe": "bicyclegan_synthetic", "skip": {"tensors": VARIANTS}},
    "pix2pix": {"recipe": "pix2pix_synthetic", "skip": {"tensors": VARIANTS}},
}


def widths(network):
    """Channels of what a U-Net decoder takes, the outermost first."""
    return [*(layer.conv.out_channels for layer in network.up[1:]), network.up[-1].conv.in_channels]


def state_of(model):
    """Random weights of a network of torchvision."""
    with torch.device("meta"):
        shapes = getattr(torchvision.models, model)(weights=None).features.state_dict()
    spread = {name: (2 / value[0].numel()) ** 0.5 if value.dim() == 4 else 0.1 for name, value in shapes.items()}
    return {f"features.{name}": normal(*value.shape) * spread[name] for name, value in shapes.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files in the layouts that losses read: loss -> options."""
    folder = tmp_path_factory.mktemp("weights")
    vgg = state_of("vgg16")
    places = [(block, place) for block, count in enumerate((2, 2, 3, 3, 3), 1) for place in range(1, count + 1)]
    caffe = zip([f"conv{b}_{p}.{kind}" for b, p in places for kind in ("weight", "bias")], vgg.values(), strict=True)
    for name, state in {"alex": state_of("alexnet"), "vgg": vgg, "caffe": dict(caffe)}.items():
        torch.save(state, folder / name)
    return {
        "lpips": {"options": {"trunk": str(folder / "alex")}},
        "domain_invariant_perceptual": {"options": {"weights": str(folder / "caffe")}},
        "domain_invariant_perceptual_torchvision": {"options": {"weights": str(folder / "vgg")}},
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Images in the layouts that data sets read: data set -> options."""
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
    lists = {f"{split}_{domain}": f"list_{split}_{domain}.txt" for split in ("train", "test") for domain in "ab"}
    places = {f"folder_{split}_{domain}": f"{split}{domain.upper()}" for split in ("train", "test") for domain in "ab"}
    small = {"root": str(root), "size": 64}
    return {
        "unpaired_folders": {"options": small},
        "paired_folders": {"options": small},
        "image_lists": {"options": {**small, **lists, **places}},
        "edges_of_photos": {"options": {**small, "photos": "trainB", "test_photos": "testB"}},
    }


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(*c, marks=[pytest.mark.slow] if c in SLOW else []) for c in COMPONENTS]
)
def test_a_component_keeps_its_promises(kind, name, host, request):
    needs = {"losses": "weights", "datasets": "folders"}.get(kind)
    checks = CHECKS | (request.getfixturevalue(needs) if needs else {})
    entry = getattr(host.catalog, kind).entry(name)
    plugin = next(plugin for plugin in host.plugins if plugin.name == entry.plugin)
    subject = Subject(kind, name, entry.component, plugin, host, example_of(kind, name, checks))
    results = check_component(subject)
    assert [str(result) for result in results if result.problems] == []
    assert all(result.promise.endswith(".") for result in results)
    assert {result.check for result in results if result.skipped} == set(subject.example.skip)


def test_importing_our_plugins_prints_and_changes_nothing():
    plugins = [plugin for plugin in find_plugins() if plugin.distribution == HOST]
    assert len(plugins) > 30
    assert import_problems(plugins) == {plugin.name: [] for plugin in plugins}
