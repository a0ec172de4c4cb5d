"""The layouts of the published MUNIT and UNIT code.

`munit_keys.json` and `unit_keys.json`: the names and shapes of the default widths, in order.
"""

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import Layout, assert_same, meta, tables
from loaded import FORMATS
from shrink import small

from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import part_of, read_foreign

JUDGE = small(discriminator="layers=3 scales=2")
MUNIT = Layout(
    "nvlabs-munit", (*small(content_encoder="blocks=2", style_encoder="", decoder="blocks=2 mlp_dim=8"), *JUDGE)
)
UNIT = Layout("nvlabs-unit", (*small(encoder="blocks=2", decoder="blocks=2"), *JUDGE))
KEYS = {MUNIT: tables("munit"), UNIT: tables("unit")}
DOMAINS = ("a", "b")
SPECTRAL = "networks.discriminator.norm=spectral"
VARIANTS = {"munit": (MUNIT,), "munit spectral": (MUNIT, SPECTRAL), "unit": (UNIT,)}
both = pytest.mark.parametrize("layout", [MUNIT, UNIT], ids=["munit", "unit"])


def default_files(layout: Layout, *sets: str) -> dict[str, Any]:
    """Files of the published widths, on the device meta: names and shapes are all that is asked."""
    dis = "dis_spectral_norm_variant" if sets else "dis"
    return {p: {d: meta(KEYS[layout][key]) for d in DOMAINS} for p, key in (("gen", "gen"), ("dis", dis))}


def shapes_of(files: dict[str, Any]) -> Any:
    """Parts, domains, names and shapes, in their order."""
    return [
        (p, d, name, tuple(value.shape)) for p in files for d in files[p] for name, value in files[p][d].items()
    ]  # fmt: skip


# ---- names, shapes, order ------------------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_specification() -> None:
    counts = [{part: len(table) for part, table in KEYS[layout].items()} for layout in (MUNIT, UNIT)]
    assert counts == [{"gen": 82, "dis": 30, "dis_spectral_norm_variant": 48}, {"gen": 48, "dis": 30}]
    networks = UNIT.make(device="meta").networks
    assert sum(p.numel() for role in ("encoder", "decoder") for p in networks[role]["a"].parameters()) == 11140483


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_order_are_the_published_ones(variant: str) -> None:
    """What is saved has them, and files that have them fill every tensor of ours once."""
    layout, *sets = VARIANTS[variant]
    own, files = layout.make(*sets, device="meta").state_dict(), default_files(layout, *sets)
    saved = layout.reader.save({name: torch.empty(value.shape) for name, value in own.items()})
    assert shapes_of(saved) == shapes_of(files)
    loaded = layout.reader.load(files, own)
    assert {name: value.shape for name, value in loaded.items()} == {name: value.shape for name, value in own.items()}
    assert len({id(value) for value in loaded.values()}) == len(own)


# ---- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("layout", "sets"),
    [
        (MUNIT, ()),
        (MUNIT, (SPECTRAL,)),
        (MUNIT, ("networks.discriminator.norm=batch", "networks.content_encoder.norm=batch")),
        (MUNIT, ("networks.content_encoder.norm=layer", "networks.decoder.activation=prelu")),
        (UNIT, ()),
        (UNIT, (SPECTRAL,)),
    ],
    ids=["munit", "munit spectral", "munit batch", "munit layer and prelu", "unit", "unit spectral"],
)
def test_load_and_save_give_back_names_order_and_bits(
    layout: Layout, sets: tuple[str, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    source, target = layout.tiny(*sets, dtype=dtype), layout.tiny(*sets, seed=1, dtype=dtype)
    content = layout.written(source)
    layout.load(target, content, tmp_path)
    assert_same(source, target)
    assert_same(content, layout.written(target))
    assert {t.dtype for part in content.values() for named in part.values() for t in named.values()} <= {
        dtype, torch.int64,
    }  # fmt: skip


def test_the_bias_and_scale_of_a_trained_run_survive_as_function(tmp_path: Path) -> None:
    source, target = MUNIT.tiny(), MUNIT.tiny(seed=1)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    MUNIT.load(target, MUNIT.written(source), tmp_path)
    style = torch.ones(1, 8)
    assert torch.equal(source.translate(x, random_style=style), target.translate(x, random_style=style))


def test_parts_are_told_by_their_names_and_load_alone(tmp_path: Path) -> None:
    source, target, before = MUNIT.tiny(), MUNIT.tiny(seed=1), MUNIT.tiny(seed=1).state_dict()
    content = MUNIT.written(source)
    assert [MUNIT.reader.part_of(content[part], "x_00000001.pt") for part in ("gen", "dis")] == ["gen", "dis"]
    assert set(MUNIT.reader.networks({"dis": content["dis"]})) == {"discriminator"}
    MUNIT.load(target, {"gen": content["gen"]}, tmp_path)
    own = source.state_dict()
    assert_same(target, {name: (before if name.startswith("discriminator") else own)[name] for name in own})


def test_saved_tensors_are_copies() -> None:
    trainer = MUNIT.tiny()
    MUNIT.written(trainer)["gen"]["a"]["mlp.model.0.fc.weight"].zero_()
    assert trainer.state_dict()["decoder.a.mlp.0.linear.weight"].any()


def test_double_precision_files_come_into_single_precision_networks(tmp_path: Path) -> None:
    source, target = MUNIT.tiny(dtype=torch.float64), MUNIT.tiny(seed=1)
    MUNIT.load(target, MUNIT.written(source), tmp_path)
    assert_same(target, {name: value.float() for name, value in source.state_dict().items()})


# ---- old files -----------------------------------------------------------------------------------------------------


@both
def test_files_of_old_torch_load(layout: Layout, tmp_path: Path) -> None:
    """The released ones are from before the zip format. Those of torch 0.3 hold statistics for every plain instance
    norm, the decoder's too; nothing ever used them."""
    source, target = layout.tiny(), layout.tiny(seed=1)
    content = layout.written(source)
    layout.load(layout.tiny(seed=2), content, tmp_path, zipped=False)
    found = layout.reader.networks(content)
    plain = ("enc_content.",) if layout == MUNIT else ("enc.", "dec.model.0.")
    for tensors in content["gen"].values():
        for name in [n for n in tensors if n.startswith(plain) and n.endswith("conv.bias")]:
            layer, channels = name.removesuffix("conv.bias"), len(tensors[name])
            tensors[f"{layer}norm.running_mean"] = torch.full((channels,), 3.0)
            tensors[f"{layer}norm.running_var"] = torch.full((channels,), 5.0)
            tensors[f"{layer}norm.num_batches_tracked"] = torch.tensor(7)
        assert sum("running_mean" in name for name in tensors) == 7 + 4
    layout.load(target, content, tmp_path, zipped=False)
    assert_same(source, target)
    assert layout.reader.networks(content) == found


def test_files_without_adains_constant_statistics_load_too(tmp_path: Path) -> None:
    source, target = MUNIT.tiny(), MUNIT.tiny(seed=1)
    content = MUNIT.written(source)
    for tensors in content["gen"].values():
        for name in [name for name in tensors if "running" in name]:
            del tensors[name]
    MUNIT.load(target, content, tmp_path)
    assert_same(source, target)


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
    wide = MUNIT.tiny("networks.content_encoder.width=6", "networks.decoder.width=6")
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        MUNIT.load(wide, MUNIT.written(MUNIT.tiny()), tmp_path)
    assert "gen: 'a.enc_content.model.0.conv.weight' has shape (4, 3, 7, 7)" in caught.value.message
    assert "our content_encoder.a.stem.conv.weight (6, 3, 7, 7)" in caught.value.message
    assert "{'width': 4, 'downsamples': 2, 'blocks': 2}" in caught.value.fix
    assert_same(wide, before)  # nothing was loaded


def test_what_is_missing_or_too_much_is_named(tmp_path: Path) -> None:
    content, target = MUNIT.written(MUNIT.tiny()), MUNIT.tiny()
    shallow = MUNIT.tiny("networks.content_encoder.blocks=1")
    with pytest.raises(CheckpointError, match="8 tensors that the recipe's networks lack"):
        MUNIT.load(shallow, content, tmp_path)
    gamma = content["gen"]["b"].pop("dec.model.4.norm.gamma")
    with pytest.raises(CheckpointError, match=r"gen has no 'b\.dec\.model\.4\.norm\.gamma' \(our decoder\.b\.up\.1\."):
        MUNIT.load(target, content, tmp_path)
    content["gen"]["b"]["dec.model.4.norm.gamma"] = gamma
    content["dis"]["a"]["cnns.2.0.conv.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"holds 1 tensors that the recipe's networks lack, first 'a\.cnns\.2\.0"):
        MUNIT.load(target, content, tmp_path)


@both
def test_another_programs_file_is_refused(layout: Layout, tmp_path: Path) -> None:
    target, other = layout.tiny(), {"x.weight": torch.ones(2)}
    for content in (
        {}, [], torch.zeros(2), {"x": 1}, {"a": {}}, {"a": {"x": 3}, "b": {}}, {"gen": {"a": torch.zeros(1)}},
        {"a": other, "b": other},
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match=f"not a checkpoint of {layout.reader.title}"):
            layout.load(target, {"gen": content}, tmp_path)


@pytest.mark.parametrize(("layout", "role"), [(MUNIT, "discriminator"), (UNIT, "encoder")])
def test_shared_networks_have_no_place(layout: Layout, role: str, tmp_path: Path) -> None:
    shared = layout.tiny(f"networks.{role}.per=~")
    with pytest.raises(CheckpointError, match=rf"'{role}\.s.* has no place .* holds one {role} for each") as caught:
        layout.written(shared)
    assert caught.value.fix == f"train with networks.{role}.per: [a, b]"
    with pytest.raises(CheckpointError, match="tensors that the recipe's networks lack"):
        layout.load(shared, layout.written(layout.tiny()), tmp_path)
    for name in ("mapper.weight", "mapper.a.weight", "decoder.a.other"):
        with pytest.raises(CheckpointError, match="has no place"):
            layout.reader.save({name: torch.zeros(1)})


# ---- what a file tells of its networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_published_widths_are_inferred(variant: str) -> None:
    layout, *sets = VARIANTS[variant]
    encoder, decoder = {"width": 64, "downsamples": 2, "blocks": 4}, {"width": 64, "upsamples": 2, "blocks": 4}
    assert layout.reader.networks(default_files(layout, *sets)) == {
        **({"encoder": encoder, "decoder": decoder} if layout == UNIT else {
            "content_encoder": encoder, "style_encoder": {"width": 64, "dim": 8},
            "decoder": decoder | {"style_dim": 8, "mlp_dim": 256},
        }),
        "discriminator": {"width": 64, "layers": 4, "scales": 3, "norm": "spectral" if sets else "none"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "odd"),
    [
        (MUNIT, ("content_encoder.downsamples=1", "style_encoder.width=3", "style_encoder.dim=5",
                 "decoder.upsamples=1", "decoder.style_dim=5", "decoder.mlp_dim=6")),
        (UNIT, ("encoder.downsamples=1", "decoder.upsamples=1", "encoder.blocks=3")),
    ],
)  # fmt: skip
def test_the_inferred_networks_fit_the_file(layout: Layout, odd: tuple[str, ...], tmp_path: Path) -> None:
    source = layout.tiny(*(f"networks.{option}" for option in odd))
    content = layout.written(source)
    fitting = layout.fitting(layout.reader.networks(content))
    layout.load(fitting, content, tmp_path)
    assert_same(source, fitting)


def test_munit_and_unit_are_told_apart(tmp_path: Path) -> None:
    munit, unit = MUNIT.written(MUNIT.tiny()), UNIT.written(UNIT.tiny())
    assert [part_of(unit[part], "x.pt", UNIT.name, FORMATS) for part in ("gen", "dis")] == ["gen", "dis"]
    for content, given, right in ((munit, UNIT, MUNIT), (unit, MUNIT, UNIT)):
        with pytest.raises(CheckpointError, match=f"looks like 'gen' of {right.reader.title}") as caught:
            part_of(content["gen"], "x.pt", given.name, FORMATS)
        assert caught.value.fix == f"use --format {right.name}"
        with pytest.raises(CheckpointError, match=f"it looks like 'gen' of {right.reader.title}"):
            given.load(given.tiny(), {"gen": content["gen"]}, tmp_path)
        for part in ("gen", "dis"):
            with pytest.raises(CheckpointError, match="widths cannot be read"):
                given.reader.networks({part: content["gen"]})
