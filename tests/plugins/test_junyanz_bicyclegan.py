"""The layout of the published BicycleGAN: files G, E, D, D2.

`bicyclegan_keys.json`: names and shapes of its encoders at the default widths, in order; those of its U-Nets and
discriminators are in `junyanz_keys.json`. Dropout adds no names.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import CATALOG, FORMATS
from torch import Tensor

import i2i_forge
from i2i_forge.cli import main
from i2i_forge.data.images import save_png
from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import load_foreign

Table = list[tuple[str, list[int]]]
HERE = Path(__file__).parent
SHARED: dict[str, Table] = json.loads((HERE / "junyanz_keys.json").read_text())
KEYS: dict[str, Table] = json.loads((HERE / "bicyclegan_keys.json").read_text()) | {
    name.removeprefix("bicyclegan "): table for name, table in SHARED.items() if name.startswith("bicyclegan ")
}
PARTS = [(variant, part) for variant in KEYS for part in (("D", "D2") if variant[0] == "D" else (variant[0],))]
FORMAT = "junyanz-bicyclegan"
ROLES = ("encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator")
TINY = [
    *(f"networks.{role}.width={width}" for role, width in zip(ROLES, (4, 4, 5, 4, 6), strict=True)),
    "networks.encoder.levels=5", "networks.decoder.levels=5", "networks.code_encoder.blocks=2",
    "networks.discriminator.layers=2", "networks.vae_discriminator.layers=1",
]  # fmt: skip


def reader() -> Any:
    return CATALOG.formats.get(FORMAT)()


def narrow(size: int) -> int:
    """A sixteenth of a width; the eight numbers of a code stay."""
    return size if size < 32 else size // 16 + size % 16


def drawn(table: Table, device: str = "cpu", small: bool = False) -> dict[str, Tensor]:
    """Tensors of these shapes, or of narrower ones."""
    draws = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in table:
        shape = [narrow(size) for size in shape] if small else shape
        if device == "meta":
            made[name] = torch.empty(shape, device=device)
        elif name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(len(made))
        else:
            made[name] = torch.randn(shape, generator=draws)
    return made


D_OF_ITS_OWN = {"vae_discriminator.scales.0.0.conv.weight": torch.zeros(1)}  # then D2 is what judges translations


def built(found: dict[str, dict[str, Any]], device: str = "cpu") -> dict[str, Tensor]:
    """The state of networks with these options."""
    kinds = {role: CATALOG.discriminators if role.endswith("discriminator") else CATALOG.encoders for role in ROLES}
    kinds["decoder"] = CATALOG.decoders
    own = {}
    for role, options in found.items():
        with torch.device(device):
            network = kinds[role].get(options.get("use", "unet"))(**{k: v for k, v in options.items() if k != "use"})
        own |= {f"{role}.{name}": value for name, value in network.state_dict().items()}
    return own


def tiny(*sets: str, seed: int = 0) -> i2i_forge.Trainer:
    recipe = i2i_forge.load_recipe("bicyclegan_edges2shoes", set=[*TINY, *sets, f"seed={seed}"])
    return i2i_forge.build_trainer(recipe, catalog=CATALOG)


@pytest.fixture(scope="module")
def source() -> i2i_forge.Trainer:
    return tiny()


@pytest.fixture(scope="module")
def other() -> i2i_forge.Trainer:
    return tiny(seed=1)


@pytest.fixture
def target(other: i2i_forge.Trainer) -> Iterator[i2i_forge.Trainer]:
    """Of the same recipe with other weights."""
    before = {name: value.clone() for name, value in other.state_dict().items()}
    yield other
    other.load_state_dict(before)


def saved(trainer: i2i_forge.Trainer, folder: Path) -> dict[str, Path]:
    files = {}
    for part, content in reader().save(trainer.state_dict()).items():
        files[part] = folder / f"latest_net_{part}.pth"
        torch.save(content, files[part])
    return files


# ---- every published variant ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "part"), PARTS)
def test_the_networks_found_have_the_published_names_and_shapes(variant: str, part: str) -> None:
    own = built(reader().networks({part: drawn(KEYS[variant], "meta")}), "meta")
    found = {}
    for key, value in own.items():
        place, name = reader().place(key, own | (D_OF_ITS_OWN if part == "D2" else {}))
        assert place == part
        found[name] = list(value.shape)
    assert found == dict(KEYS[variant])


@pytest.mark.parametrize(("variant", "part"), PARTS)
def test_load_and_save_give_back_names_order_and_bits(variant: str, part: str) -> None:
    tensors = drawn(KEYS[variant], small=True)
    own = built(reader().networks({part: tensors})) | (D_OF_ITS_OWN if part == "D2" else {})
    loaded = reader().load({part: tensors}, own)
    assert set(loaded) == set(own) - (set(D_OF_ITS_OWN) if part == "D2" else set())
    again = reader().save(own | loaded)[part]
    assert list(again) == list(tensors)
    assert all(torch.equal(again[name], value) and again[name].dtype == value.dtype for name, value in tensors.items())


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
    assert reader().networks({variant[0]: drawn(KEYS[variant], "meta")}) == EXPECTED[variant]


@pytest.mark.parametrize(("image", "dim"), [(3, 8), (1, 8), (3, 5), (1, 4)])
def test_a_code_at_the_input_is_told_from_the_image_by_the_encoders_length(image: int, dim: int) -> None:
    unet = [(n, [64, image + dim, 4, 4] if s[1:2] == [11] else s) for n, s in KEYS["G/unet_256/input/instance/nz8"]]
    encoder = [(n, [dim, *s[1:]] if n.startswith("fc") else s) for n, s in KEYS["E/resnet_256/instance"]]
    files = {"G": drawn(unet, "meta"), "E": drawn(encoder, "meta")}
    found = reader().networks(files)["encoder"]
    assert (found["channels"], found["code_dim"], found["code_at"]) == (image, dim, "input")
    if dim == 8:  # as published: E is not needed
        assert reader().networks({"G": files["G"]})["encoder"] == found


# ---- files ---------------------------------------------------------------------------------------------------------


def test_four_files_come_in_and_go_out(source: Any, target: Any, tmp_path: Path) -> None:
    files = saved(source, tmp_path)
    assert list(files) == ["G", "E", "D", "D2"]
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name
    assert torch.load(files["D"])["model_0.0.weight"].shape[0] == 6  # what judges reconstructions
    assert torch.load(files["D2"])["model_0.0.weight"].shape[0] == 4


def test_released_files_hold_statistics_that_are_passed_over(source: Any, target: Any, tmp_path: Path) -> None:
    """G and E alone, with what instance norms of torch 0.3 left behind."""
    before = {name: value.clone() for name, value in target.state_dict().items()}
    files = {part: file for part, file in saved(source, tmp_path).items() if part in "GE"}
    layers = {"G": "model.submodule.down.2.", "E": "conv.1.conv.0."}
    for part, file in files.items():
        tensors = {f"module.{name}": value for name, value in torch.load(file).items()}
        extra = {f"module.{layers[part]}running_{what}": torch.full((8,), 3.0) for what in ("mean", "var")}
        torch.save(tensors | extra, file)
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in target.state_dict().items():
        same = before[name] if "discriminator" in name else source.state_dict()[name]
        assert torch.equal(value, same), name


def test_one_discriminator_for_both_is_d() -> None:
    sets = [each for each in TINY if "vae_discriminator" not in each]
    sets += ["networks.vae_discriminator=~", "phases.discriminators.trains=[discriminator]"]
    trainer = i2i_forge.build_trainer(i2i_forge.load_recipe("bicyclegan_edges2shoes", set=sets), catalog=CATALOG)
    own = trainer.state_dict()
    files = reader().save(own)
    assert list(files) == ["G", "E", "D"]
    loaded = reader().load(files, own)
    assert set(loaded) == set(own)
    assert all(torch.equal(value, own[name]) for name, value in loaded.items())


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
    assert reader().part_of(drawn(KEYS[variant], "meta"), name) == part


def test_files_that_are_something_else_are_refused() -> None:
    encoder = drawn(KEYS["E/resnet_256/instance"], "meta")
    with pytest.raises(CheckpointError, match="holds E, its name says D2"):
        reader().part_of(encoder, "latest_net_D2.pth")
    with pytest.raises(CheckpointError, match="its U-Net takes no code"):
        reader().part_of(drawn(SHARED["pix2pix G/unet_256/batch"], "meta"), "latest_net_G.pth")
    for content in ({"weights": torch.zeros(2)}, {}, {"a": {}}, [], torch.zeros(1)):
        with pytest.raises(CheckpointError, match="not a checkpoint of the published BicycleGAN code"):
            reader().part_of(content, "latest_net_G.pth")
    for part in ("G", "E", "D", "D2"):
        with pytest.raises(CheckpointError, match="its widths cannot be read"):
            reader().networks({part: {"conv.weight": torch.zeros(2)}})
    colours = [(n, [64, 15, 4, 4] if n == "model.down.0.weight" else s) for n, s in KEYS["G/unet_256/all/instance/nz8"]]
    with pytest.raises(CheckpointError, match="images of 7 channels; here it can be 1 or 3"):
        reader().networks({"G": drawn(colours, "meta")})


def test_a_file_of_another_program_is_called_what_it_is(target: Any, tmp_path: Path) -> None:
    file = tmp_path / "latest_net_G.pth"
    torch.save(drawn(SHARED["pix2pix G/unet_256/batch"], small=True), file)
    with pytest.raises(CheckpointError, match=r"looks like 'G.*' of the published (pix2pix|CycleGAN)"):
        load_foreign(target, {"G": file}, FORMAT, FORMATS)


def test_what_the_layout_has_no_place_for() -> None:
    for name in ("mapper.weight", "encoder.a.down.0.conv.weight", "code_encoder.a.stem.weight", "discriminator.head.w"):
        with pytest.raises(CheckpointError, match="has no place"):
            reader().save({name: torch.zeros(1)})


# ---- two commands --------------------------------------------------------------------------------------------------


def forge(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 0


def test_a_downloaded_file_translates_with_a_reference(
    target: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("encoder", "decoder", "code_encoder"):
        for parameter in target.networks[role]["shared"].parameters():
            parameter.data *= 30  # the published start is so small that every code would give one image
    files = saved(target, tmp_path)
    run, out = tmp_path / "run", tmp_path / "out"
    forge("checkpoint", "import", files["G"], files["E"], "--format", FORMAT, "--run", run)
    draws = torch.Generator().manual_seed(0)
    x, reference = (torch.rand(3, *size, generator=draws) * 2 - 1 for size in ((70, 40), (33, 90)))
    save_png(x, tmp_path / "x.png")
    save_png(reference, tmp_path / "reference.png")
    forge("translate", run, tmp_path / "x.png", "--reference", tmp_path / "reference.png", "--out", out / "guided")
    forge("translate", run, tmp_path / "x.png", "--styles", "3", "--out", out / "random")
    assert sorted(file.name for file in (out / "guided").iterdir()) == ["sheet.png", "x-00.png"]
    images = [file.read_bytes() for file in sorted((out / "random").glob("x-*.png"))]
    assert len({*images, (out / "guided/x-00.png").read_bytes()}) == 4
    capsys.readouterr()


def test_every_part_comes_in_alone(source: Any, other: Any) -> None:
    own = source.state_dict()
    for part, content in reader().save(own).items():
        loaded = reader().load({part: content}, other.state_dict())
        assert loaded
        for name, value in loaded.items():
            assert reader().place(name, own)[0] == part
            assert torch.equal(value, own[name])
