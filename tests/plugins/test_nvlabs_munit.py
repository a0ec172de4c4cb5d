"""The published checkpoint layout. `munit_keys.json`: the names and shapes of the default widths, in order."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import FORMATS
from shrink import small
from torch import Tensor

import i2i_forge
from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import load_foreign, read_foreign

KEYS: dict[str, list[tuple[str, list[int]]]] = json.loads((Path(__file__).parent / "munit_keys.json").read_text())
FORMAT = "nvlabs-munit"
TINY = [
    *small(content_encoder="blocks=2", style_encoder="", decoder="blocks=2 mlp_dim=8"),
    *small(discriminator="layers=3 scales=2"),
]


def make(*sets: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    return i2i_forge.build_trainer(i2i_forge.load_recipe("munit_edge2shoes", set=sets), device=device, dtype=dtype)


def tiny(*sets: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    return make(*TINY, f"seed={seed}", *sets, dtype=dtype)


def reader() -> Any:
    return FORMATS.get(FORMAT)()


def published(trainer: Any, folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """A trainer's weights in the published layout, also as files."""
    content = reader().save(trainer.state_dict())
    files = {part: folder / f"{part}_01000000.pt" for part in content}
    for part, file in files.items():
        torch.save(content[part], file)
    return content, files


def default_files(spectral: bool = False) -> dict[str, dict[str, dict[str, Tensor]]]:
    """Files of the published widths, on the device meta: names and shapes are all that is asked."""
    tables = {"gen": KEYS["gen"], "dis": KEYS["dis_spectral_norm_variant" if spectral else "dis"]}
    return {
        part: {d: {name: torch.empty(shape, device="meta") for name, shape in table} for d in ("a", "b")}
        for part, table in tables.items()
    }


# ---- names, shapes, order ------------------------------------------------------------------------------------------


def test_the_table_is_the_one_of_the_specification() -> None:
    assert {part: len(table) for part, table in KEYS.items()} == {"gen": 82, "dis": 30, "dis_spectral_norm_variant": 48}


@pytest.mark.parametrize("spectral", [False, True], ids=["plain", "spectral"])
def test_saved_names_shapes_and_order_are_the_published_ones(spectral: bool) -> None:
    sets = ["networks.discriminator.norm=spectral"] if spectral else []
    own = {name: torch.empty(value.shape) for name, value in make(*sets, device="meta").state_dict().items()}
    saved, expected = reader().save(own), default_files(spectral)
    assert list(saved) == ["gen", "dis"]
    for part in saved:
        assert list(saved[part]) == ["a", "b"]
        for domain in ("a", "b"):
            ours = [(name, tuple(value.shape)) for name, value in saved[part][domain].items()]
            theirs = [(name, tuple(value.shape)) for name, value in expected[part][domain].items()]
            assert ours == theirs


@pytest.mark.parametrize("spectral", [False, True], ids=["plain", "spectral"])
def test_published_files_fill_every_tensor_of_ours_once(spectral: bool) -> None:
    sets = ["networks.discriminator.norm=spectral"] if spectral else []
    own, files = make(*sets, device="meta").state_dict(), default_files(spectral)
    loaded = reader().load(files, own)
    assert set(loaded) == set(own)
    assert len({id(value) for value in loaded.values()}) == len(own)
    for name, value in loaded.items():
        assert value.shape == own[name].shape, name


# ---- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("networks.discriminator.norm=spectral",),
        ("networks.discriminator.norm=batch", "networks.content_encoder.norm=batch"),
        ("networks.content_encoder.norm=layer", "networks.decoder.activation=prelu"),
    ],
    ids=["default", "spectral", "batch", "layer and prelu"],
)
def test_load_and_save_give_back_names_order_and_bits(
    sets: tuple[str, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    source, target = tiny(*sets, dtype=dtype), tiny(*sets, seed=1, dtype=dtype)
    content, files = published(source, tmp_path)
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    again = reader().save(target.state_dict())
    for part in content:
        for domain in ("a", "b"):
            assert list(again[part][domain]) == list(content[part][domain])
            for name, value in content[part][domain].items():
                assert again[part][domain][name].dtype == value.dtype
                assert value.dtype in (dtype, torch.int64)
                assert torch.equal(again[part][domain][name], value), name


def test_the_bias_and_scale_of_a_trained_run_survive_as_function(tmp_path: Path) -> None:
    source, target = tiny(), tiny(seed=1)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    load_foreign(target, published(source, tmp_path)[1], FORMAT, FORMATS)
    style = torch.ones(1, 8)
    assert torch.equal(source.translate(x, random_style=style), target.translate(x, random_style=style))


def test_parts_load_alone(tmp_path: Path) -> None:
    source, target = tiny(), tiny(seed=1)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    load_foreign(target, {"gen": published(source, tmp_path)[1]["gen"]}, FORMAT, FORMATS)
    for name, value in target.state_dict().items():
        from_file = not name.startswith("discriminator")
        assert torch.equal(value, source.state_dict()[name] if from_file else before[name])


def test_saved_tensors_are_copies() -> None:
    trainer = tiny()
    saved = reader().save(trainer.state_dict())
    saved["gen"]["a"]["mlp.model.0.fc.weight"].zero_()
    assert trainer.state_dict()["decoder.a.mlp.0.linear.weight"].any()


def test_double_precision_files_come_into_single_precision_networks(tmp_path: Path) -> None:
    source, target = tiny(dtype=torch.float64), tiny(seed=1)
    load_foreign(target, published(source, tmp_path)[1], FORMAT, FORMATS)
    name = "decoder.b.to_image.conv.weight"
    assert torch.equal(target.state_dict()[name], source.state_dict()[name].float())


# ---- old files -----------------------------------------------------------------------------------------------------


def test_running_statistics_of_old_instance_norms_are_passed_over(tmp_path: Path) -> None:
    """Files written by torch 0.3 hold statistics for every plain instance norm; nothing ever used them."""
    source, target = tiny(), tiny(seed=1)
    content, files = published(source, tmp_path)
    for tensors in content["gen"].values():
        for name in [n for n in tensors if n.startswith("enc_content.") and n.endswith("conv.bias")]:
            layer, channels = name.removesuffix("conv.bias"), len(tensors[name])
            tensors[f"{layer}norm.running_mean"] = torch.full((channels,), 3.0)
            tensors[f"{layer}norm.running_var"] = torch.full((channels,), 5.0)
            tensors[f"{layer}norm.num_batches_tracked"] = torch.tensor(7)
        assert sum("running_mean" in name for name in tensors) == 7 + 4
    torch.save(content["gen"], files["gen"])
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_files_without_adains_constant_statistics_load_too(tmp_path: Path) -> None:
    source, target = tiny(), tiny(seed=1)
    content, files = published(source, tmp_path)
    torch.save({d: {n: v for n, v in t.items() if "running" not in n} for d, t in content["gen"].items()}, files["gen"])
    load_foreign(target, files, FORMAT, FORMATS)
    assert torch.equal(
        target.state_dict()["decoder.a.mlp.0.linear.bias"], source.state_dict()["decoder.a.mlp.0.linear.bias"]
    )


def test_files_of_torch_0_4_load(tmp_path: Path) -> None:
    """The released checkpoints are from before torch's zip format."""
    source, target = tiny(), tiny(seed=1)
    content, files = published(source, tmp_path)
    for part, file in files.items():
        torch.save(content[part], file, _use_new_zipfile_serialization=False)
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_damaged_files_are_refused_in_plain_words(new: bool, tmp_path: Path) -> None:
    file, draws = tmp_path / "gen.pt", random.Random(0)
    torch.save({"a": {"x": torch.ones(4)}, "b": {}}, file, _use_new_zipfile_serialization=new)
    whole = file.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole[: draws.choice([len(whole), draws.randrange(len(whole))])])
        for _ in range(draws.randrange(4)):
            if damaged:
                damaged[draws.randrange(min(len(damaged), 300))] = draws.randrange(256)
        file.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):  # a flip in a number still reads; any other error is a bug
            read_foreign(file)


# ---- what does not fit ---------------------------------------------------------------------------------------------


def test_wrong_widths_are_named_with_the_networks_that_fit(tmp_path: Path) -> None:
    wide = tiny("networks.content_encoder.width=6", "networks.decoder.width=6")
    _, files = published(tiny(), tmp_path)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_foreign(wide, files, FORMAT, FORMATS)
    assert "gen: 'a.enc_content.model.0.conv.weight' has shape (4, 3, 7, 7)" in caught.value.message
    assert "our content_encoder.a.stem.conv.weight (6, 3, 7, 7)" in caught.value.message
    assert "{'width': 4, 'downsamples': 2, 'blocks': 2}" in caught.value.fix
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())  # nothing was loaded


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    content, files = published(tiny(), tmp_path)
    del content["gen"]["b"]["dec.model.4.norm.gamma"]
    torch.save(content["gen"], files["gen"])
    with pytest.raises(
        CheckpointError, match=r"gen has no 'b\.dec\.model\.4\.norm\.gamma' \(our decoder\.b\.up\.1\.norm"
    ):
        load_foreign(tiny(), files, FORMAT, FORMATS)


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    content, files = published(tiny(), tmp_path)
    content["dis"]["a"]["cnns.2.0.conv.weight"] = torch.zeros(1)
    torch.save(content["dis"], files["dis"])
    with pytest.raises(
        CheckpointError, match=r"holds 1 tensors that the recipe's networks lack, first 'a\.cnns\.2\.0\.conv"
    ):
        load_foreign(tiny(), files, FORMAT, FORMATS)


def test_fewer_blocks_of_ours_do_not_silently_ignore_the_rest(tmp_path: Path) -> None:
    _, files = published(tiny(), tmp_path)
    shallow = tiny("networks.content_encoder.blocks=1")
    with pytest.raises(CheckpointError, match="8 tensors that the recipe's networks lack"):
        load_foreign(shallow, files, FORMAT, FORMATS)


@pytest.mark.parametrize(
    "content", [{}, [], torch.zeros(2), {"a": {}}, {"a": {"x": 3}, "b": {}}, {"gen": {"a": torch.zeros(1)}}]
)
def test_other_content_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "gen.pt")
    with pytest.raises(CheckpointError):
        load_foreign(tiny(), {"gen": tmp_path / "gen.pt"}, FORMAT, FORMATS)


def test_shared_networks_and_other_state_have_no_place_in_the_layout(tmp_path: Path) -> None:
    shared = tiny("networks.discriminator.per=~")
    with pytest.raises(CheckpointError, match=r"'discriminator\.scales.* holds one discriminator for each domain"):
        reader().save(shared.state_dict())
    _, files = published(tiny(), tmp_path)
    with pytest.raises(CheckpointError, match="tensors that the recipe's networks lack"):
        load_foreign(shared, files, FORMAT, FORMATS)
    for name in ("mapper.weight", "mapper.a.weight", "decoder.a.other"):
        with pytest.raises(CheckpointError, match="has no place"):
            reader().save({name: torch.zeros(1)})


# ---- what a file tells of its networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("spectral", [False, True])
def test_the_published_widths_are_inferred(spectral: bool) -> None:
    assert reader().networks(default_files(spectral)) == {
        "content_encoder": {"width": 64, "downsamples": 2, "blocks": 4},
        "style_encoder": {"width": 64, "dim": 8},
        "decoder": {"width": 64, "upsamples": 2, "blocks": 4, "style_dim": 8, "mlp_dim": 256},
        "discriminator": {"width": 64, "layers": 4, "scales": 3, "norm": "spectral" if spectral else "none"},
    }


def test_the_inferred_networks_fit_the_file(tmp_path: Path) -> None:
    encoders = ("networks.content_encoder.downsamples=1", *small(3, style_encoder="dim=5"))
    odd = tiny(*encoders, *(f"networks.decoder.{option}" for option in ("upsamples=1", "style_dim=5", "mlp_dim=6")))
    content, files = published(odd, tmp_path)
    options = reader().networks(content)
    sets = [f"networks.{role}.{key}={value}" for role, given in options.items() for key, value in given.items()]
    fitting = make(*sets, "seed=9")
    load_foreign(fitting, files, FORMAT, FORMATS)
    for name, value in odd.state_dict().items():
        assert torch.equal(fitting.state_dict()[name], value)


def test_parts_are_told_by_their_names(tmp_path: Path) -> None:
    content, _ = published(tiny(), tmp_path)
    assert reader().part_of(content["gen"], "gen_00000001.pt") == "gen"
    assert reader().part_of(content["dis"], "dis_00000001.pt") == "dis"
    assert set(reader().networks({"dis": content["dis"]})) == {"discriminator"}


def test_networks_of_another_file_cannot_be_inferred() -> None:
    unit = {d: {"enc.model.0.conv.weight": torch.zeros(8, 3, 7, 7)} for d in ("a", "b")}
    for part in ("gen", "dis"):
        with pytest.raises(CheckpointError, match="widths cannot be read"):
            reader().networks({part: unit})
