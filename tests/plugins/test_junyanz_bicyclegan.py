"""The layout of the published BicycleGAN: files G, E, D, D2.

`bicyclegan_keys.json`: names and shapes of its encoders at the default widths, in order; those of its U-Nets and
discriminators are in `junyanz_keys.json`. Dropout adds no names.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import Layout, Table, assert_same, drawn, meta, narrow, state_of, tables

from i2i_forge.data.images import save_png
from i2i_forge.errors import CheckpointError

SHARED = tables("junyanz")
KEYS: dict[str, Table] = tables("bicyclegan") | {
    name.removeprefix("bicyclegan "): table for name, table in SHARED.items() if name.startswith("bicyclegan ")
}
PARTS = [(variant, part) for variant in KEYS for part in (("D", "D2") if variant[0] == "D" else (variant[0],))]
ROLES = ("encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator")
LAYOUT = Layout("junyanz-bicyclegan", (
    *(f"networks.{role}.width={width}" for role, width in zip(ROLES, (4, 4, 5, 4, 6), strict=True)),
    "networks.encoder.levels=5", "networks.decoder.levels=5", "networks.code_encoder.blocks=2",
    "networks.discriminator.layers=2", "networks.vae_discriminator.layers=1",
))  # fmt: skip
D_OF_ITS_OWN = {"vae_discriminator.scales.0.0.conv.weight": torch.zeros(1)}  # then D2 is what judges translations


@pytest.fixture(scope="module")
def source() -> Any:
    return LAYOUT.tiny()


@pytest.fixture
def target() -> Any:
    """Of the same recipe with other weights."""
    return LAYOUT.tiny(seed=1)


# ---- every published variant ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "part"), PARTS)
def test_the_networks_found_have_the_published_names_and_shapes(variant: str, part: str) -> None:
    own = state_of(LAYOUT.reader.networks({part: meta(KEYS[variant])}), "meta")
    found = {}
    for key, value in own.items():
        place, name = LAYOUT.reader.place(key, own | (D_OF_ITS_OWN if part == "D2" else {}))
        assert place == part
        found[name] = list(value.shape)
    assert found == dict(KEYS[variant])


@pytest.mark.parametrize(("variant", "part"), PARTS)
def test_load_and_save_give_back_names_order_and_bits(variant: str, part: str) -> None:
    tensors = drawn(narrow(KEYS[variant]))
    own = state_of(LAYOUT.reader.networks({part: tensors})) | (D_OF_ITS_OWN if part == "D2" else {})
    loaded = LAYOUT.reader.load({part: tensors}, own)
    assert set(loaded) == set(own) - (set(D_OF_ITS_OWN) if part == "D2" else set())
    assert_same(LAYOUT.reader.save(own | loaded)[part], tensors)


EXPECTED = {
    "G/unet_256/all/instance/in1/out3/nz8": {
        "encoder": {
            "width": 64, "levels": 8, "norm": "instance", "bias": True, "channels": 1, "code_dim": 8, "code_at": "all",
        },
        "decoder": {
            "width": 64, "levels": 8, "norm": "instance", "bias": True, "channels": 3, "upsample": "transposed",
        },
    },
    "E/resnet_256/batch": {
        "code_encoder": {"use": "residual_code", "width": 64, "blocks": 4, "dim": 8, "channels": 3, "norm": "batch"}
    },
    "E/resnet_128/instance": {
        "code_encoder": {"use": "residual_code", "width": 64, "blocks": 3, "dim": 8, "channels": 3, "norm": "instance"}
    },
    "E/conv_128/instance": {
        "code_encoder": {
            "use": "convolutional_code", "width": 64, "layers": 3, "dim": 8, "channels": 3, "norm": "instance",
        }
    },
    "D/basic_256_multi/instance/in6/num_Ds2": {
        "vae_discriminator": {
            "use": "patchgan", "width": 64, "layers": 3, "scales": 2, "channels": 6, "norm": "instance", "bias": True,
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("variant", EXPECTED)
def test_what_shapes_tell(variant: str) -> None:
    assert LAYOUT.reader.networks({variant[0]: meta(KEYS[variant])}) == EXPECTED[variant]


@pytest.mark.parametrize(("image", "dim"), [(3, 8), (1, 8), (3, 5), (1, 4)])
def test_a_code_at_the_input_is_told_from_the_image_by_the_encoders_length(image: int, dim: int) -> None:
    unet = [(n, [64, image + dim, 4, 4] if s[1:2] == [11] else s) for n, s in KEYS["G/unet_256/input/instance/nz8"]]
    encoder = [(n, [dim, *s[1:]] if n.startswith("fc") else s) for n, s in KEYS["E/resnet_256/instance"]]
    files = {"G": meta(unet), "E": meta(encoder)}
    found = LAYOUT.reader.networks(files)["encoder"]
    assert (found["channels"], found["code_dim"], found["code_at"]) == (image, dim, "input")
    if dim == 8:  # as published: E is not needed
        assert LAYOUT.reader.networks({"G": files["G"]})["encoder"] == found


# ---- files ---------------------------------------------------------------------------------------------------------


def test_four_files_come_in_and_go_out(source: Any, target: Any, tmp_path: Path) -> None:
    content = LAYOUT.written(source)
    assert list(content) == ["G", "E", "D", "D2"]
    LAYOUT.load(target, content, tmp_path)
    assert_same(source, target)
    assert content["D"]["model_0.0.weight"].shape[0] == 6  # what judges reconstructions
    assert content["D2"]["model_0.0.weight"].shape[0] == 4


def test_every_part_comes_in_alone(source: Any, target: Any) -> None:
    own = source.state_dict()
    for part, content in LAYOUT.reader.save(own).items():
        loaded = LAYOUT.reader.load({part: content}, target.state_dict())
        assert loaded
        for name, value in loaded.items():
            assert LAYOUT.reader.place(name, own)[0] == part
            assert torch.equal(value, own[name])


def test_released_files_hold_statistics_that_are_passed_over(source: Any, target: Any, tmp_path: Path) -> None:
    """G and E alone, with what instance norms of torch 0.3 left behind."""
    before, own, content = LAYOUT.tiny(seed=1).state_dict(), source.state_dict(), LAYOUT.written(source)
    released = {}
    for part, layer in (("G", "model.submodule.down.2."), ("E", "conv.1.conv.0.")):
        tensors = content[part] | {f"{layer}running_{what}": torch.full((8,), 3.0) for what in ("mean", "var")}
        released[part] = {f"module.{name}": value for name, value in tensors.items()}
    LAYOUT.load(target, released, tmp_path)
    assert_same(target, {name: (before if "discriminator" in name else own)[name] for name in own})


def test_one_discriminator_for_both_is_d() -> None:
    sets = [each for each in LAYOUT.small if "vae_discriminator" not in each]
    own = LAYOUT.make(
        *sets, "networks.vae_discriminator=~", "phases.discriminators.trains=[discriminator]"
    ).state_dict()
    files = LAYOUT.reader.save(own)
    assert list(files) == ["G", "E", "D"]
    assert_same(LAYOUT.reader.load(files, own), own)


@pytest.mark.parametrize(
    ("variant", "name", "part"),
    [
        ("G/unet_256/all/instance/nz8", "edges2shoes_net_G.pth", "G"),
        ("G/unet_256/input/instance/nz8", "whatever.pth", "G"),
        ("E/conv_256/instance", "latest_net_E.pth", "E"),
        ("D/basic_256_multi/instance/in3/num_Ds2", "60_net_D2.pth", "D2"),
        ("D/basic_256_multi/instance/in3/num_Ds1", "60_net_D.pth", "D"),
        ("D/basic_256_multi/instance/in3/num_Ds1", "Discriminator.pth", "D"),
    ],
)
def test_a_files_part_is_seen_from_content_and_name(variant: str, name: str, part: str) -> None:
    assert LAYOUT.reader.part_of(meta(KEYS[variant]), name) == part


def test_files_that_are_something_else_are_refused() -> None:
    encoder = meta(KEYS["E/resnet_256/instance"])
    with pytest.raises(CheckpointError, match="holds E, its name says D2"):
        LAYOUT.reader.part_of(encoder, "latest_net_D2.pth")
    with pytest.raises(CheckpointError, match="its U-Net takes no code"):
        LAYOUT.reader.part_of(meta(SHARED["pix2pix G/unet_256/batch"]), "latest_net_G.pth")
    for content in ({"weights": torch.zeros(2)}, {}, {"a": {}}, [], torch.zeros(1)):
        with pytest.raises(CheckpointError, match="not a checkpoint of the published BicycleGAN code"):
            LAYOUT.reader.part_of(content, "latest_net_G.pth")
    for part in ("G", "E", "D", "D2"):
        with pytest.raises(CheckpointError, match="its widths cannot be read"):
            LAYOUT.reader.networks({part: {"conv.weight": torch.zeros(2)}})


def test_a_file_of_another_program_is_called_what_it_is(target: Any, tmp_path: Path) -> None:
    content = {"G": drawn(narrow(SHARED["pix2pix G/unet_256/batch"]))}
    with pytest.raises(CheckpointError, match=r"looks like 'G.*' of the published (pix2pix|CycleGAN)"):
        LAYOUT.load(target, content, tmp_path)


def test_what_the_layout_has_no_place_for() -> None:
    for name in ("mapper.weight", "encoder.a.down.0.conv.weight", "code_encoder.a.stem.weight", "discriminator.head.w"):
        with pytest.raises(CheckpointError, match="has no place"):
            LAYOUT.reader.save({name: torch.zeros(1)})


# ---- two commands --------------------------------------------------------------------------------------------------


def test_a_downloaded_file_translates_with_a_reference(target: Any, tmp_path: Path, forge: Any) -> None:
    for role in ("encoder", "decoder", "code_encoder"):
        for parameter in target.networks[role]["shared"].parameters():
            parameter.data *= 30  # the published start is so small that every code would give one image
    files = LAYOUT.saved(LAYOUT.written(target), tmp_path)
    run, out = tmp_path / "run", tmp_path / "out"
    given = (files["G"], files["E"])
    draws = torch.Generator().manual_seed(0)
    x, reference = (torch.rand(3, *size, generator=draws) * 2 - 1 for size in ((70, 40), (33, 90)))
    save_png(x, tmp_path / "x.png")
    save_png(reference, tmp_path / "reference.png")
    for command in (
        ("checkpoint", "import", *given, "--format", LAYOUT.name, "--run", run),
        ("translate", run, tmp_path / "x.png", "--reference", tmp_path / "reference.png", "--out", out / "guided"),
        ("translate", run, tmp_path / "x.png", "--styles", "3", "--out", out / "random"),
    ):
        assert forge(*command)[0] == 0
    assert sorted(file.name for file in (out / "guided").iterdir()) == ["sheet.png", "x-00.png"]
    images = [file.read_bytes() for file in sorted((out / "random").glob("x-*.png"))]
    assert len({*images, (out / "guided/x-00.png").read_bytes()}) == 4
