"""The published checkpoint layout. `augmented_cyclegan_keys.json`: names and shapes of nine networks, in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import Layout, assert_same, meta, tables
from torch import Tensor

import i2i_forge
from i2i_forge.errors import CheckpointError

KEYS: dict[str, Any] = tables("augmented_cyclegan")
RECIPE = "augmented_cyclegan_edges2shoes"
DROPOUT, UNCONDITIONAL = "networks.encoder.dropout=0.5", "networks.code_encoder.conditional=false"
NOISE_TINY = ("networks.encoder.width=4", "networks.decoder.width=4", "networks.discriminator.width=4")
LAYOUT = Layout("augmented-cyclegan", (
    *NOISE_TINY, "networks.discriminator.per.a.width=4", "networks.code_encoder.width=4",
    "networks.code_discriminator.width=4",
))  # fmt: skip
PLAIN = ("netG_A_B (", "netG_B_A (", "netD_A", "netD_B", "netD_z_B", "enc_A_B=1")
VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # our settings -> words of the tables' titles
    "default": ((), PLAIN),
    "dropout": ((DROPOUT,), ("netG_A_B with use_dropout", "netG_B_A with use_dropout", *PLAIN[2:])),
    "unconditional": ((UNCONDITIONAL,), (*PLAIN[:5], "enc_A_B=0")),
}


def noise(seed: int = 0) -> Any:
    return LAYOUT.make(*NOISE_TINY, f"seed={seed}", recipe=f"{RECIPE}_noise")


def written(own: dict[str, Tensor]) -> Any:
    """The networks of a file with these tensors of ours."""
    return LAYOUT.reader.save(own)["checkpoint"]


def take(trainer: Any, content: Any, folder: Path, **options: Any) -> None:
    LAYOUT.load(trainer, {"checkpoint": content}, folder, **options)


def published(variant: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for words in VARIANTS[variant][1]:
        ((title, table),) = [(title, table) for title, table in KEYS.items() if words in title]
        yield title.split()[0], table


# ---- names, shapes, order ------------------------------------------------------------------------------------------


def test_every_published_network_is_in_a_variant() -> None:
    used = {id(table) for variant in VARIANTS for _, table in published(variant)}
    assert used == {id(table) for table in KEYS.values()}
    assert len(KEYS) == 9


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_order_are_the_published_ones(variant: str) -> None:
    """What is saved has them, files that have them fill every tensor of ours once, and their widths are told."""
    own = LAYOUT.make(*VARIANTS[variant][0], device="meta").state_dict()
    content = written({name: torch.zeros(value.shape, dtype=value.dtype) for name, value in own.items()})
    assert list(content) == ["netG_A_B", "netG_B_A", "netD_A", "netD_B", "netD_z_B", "netE_B"]
    tables = {network: table["keys"] for network, table in published(variant)}
    for network, table in tables.items():
        assert [[name, list(value.shape)] for name, value in content[network].items()] == table, network
    loaded = LAYOUT.reader.load({"checkpoint": {network: meta(table) for network, table in tables.items()}}, own)
    assert {name: value.shape for name, value in loaded.items()} == {name: value.shape for name, value in own.items()}
    encoder = {"width": 32, "blocks": 3, "channels": 3, "dropout": 0.5 if variant == "dropout" else 0.0}
    decoder = {"width": 32, "channels": 3}
    assert LAYOUT.reader.networks({"checkpoint": content}) == {
        "encoder": {"per": {"a": {**encoder, "code_dim": 16}, "b": {**encoder, "code_dim": 0}}},
        "decoder": {"per": {"a": {**decoder, "code_dim": 0}, "b": {**decoder, "code_dim": 16}}},
        "discriminator": {"per": {
            "a": {"use": "whole_image", "width": 32, "channels": 3},
            "b": {"use": "affine_patch", "width": 64, "channels": 3},
        }},
        "code_encoder": {"width": 32, "dim": 16, "conditional": variant != "unconditional", "channels": 3},
        "code_discriminator": {"width": 64, "dim": 16},
    }  # fmt: skip


# ---- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [(), (DROPOUT,), (UNCONDITIONAL,), ("networks.encoder.blocks=1",)])
def test_load_and_save_give_back_names_order_and_bits(sets: tuple[str, ...], tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(*sets), LAYOUT.tiny(*sets, seed=1)
    for name, value in source.state_dict().items():  # biases and statistics begin equal in every network
        value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))) * 100)
    content = written(source.state_dict())
    take(target, content, tmp_path)
    assert_same(source, target)
    assert_same(content, written(target.state_dict()))


def test_a_file_of_the_baseline_has_four_networks(tmp_path: Path) -> None:
    source, target = noise(), noise(seed=1)
    content = written(source.state_dict())
    assert list(content) == ["netG_A_B", "netG_B_A", "netD_A", "netD_B"]
    take(target, content, tmp_path)
    assert_same(source, target)


def test_saved_tensors_are_copies() -> None:
    trainer = LAYOUT.tiny()
    written(trainer.state_dict())["netG_A_B"]["model.1.weight"].zero_()
    assert trainer.state_dict()["encoder.a.stem.conv.weight"].any()


# ---- what is registered twice --------------------------------------------------------------------------------------


def test_twins_are_written_equal_and_where_the_table_says() -> None:
    (table, *_) = (table for title, table in KEYS.items() if "CINResnetGenerator" in title)
    content = written(LAYOUT.tiny().state_dict())
    assert len(table["alias_of"]) == 30
    for twin, name in table["alias_of"].items():
        assert torch.equal(content["netG_A_B"][twin], content["netG_A_B"][name])


def test_files_without_twins_are_read_and_twins_that_differ_refused(tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(), LAYOUT.tiny(seed=1)
    content = written(source.state_dict())
    content["netG_A_B"]["model.11.4.weight"] = content["netG_A_B"]["model.11.4.weight"] + 1
    with pytest.raises(CheckpointError, match=r"'netG_A_B\.model\.11\.4\.weight' is not the same as .*conv_block\.4"):
        take(target, content, tmp_path)
    twins = [name for name in content["netG_A_B"] if name.split(".")[2].isdigit()]
    assert len(twins) == 30
    for name in twins:
        del content["netG_A_B"][name]
    take(target, content, tmp_path)
    assert_same(source, target)


# ---- what else a file holds ----------------------------------------------------------------------------------------


def test_optimizer_states_are_passed_over(tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(), LAYOUT.tiny(seed=1)
    state = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    content = written(source.state_dict()) | {f"optimizer_{name}": state for name in ("D_A", "G_A", "D_B", "G_B")}
    take(target, content, tmp_path)
    assert_same(source, target)
    assert not any(name.startswith("optimizer") for name in written(target.state_dict()))


def test_files_of_torch_0_3_have_no_batch_counts(tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(), LAYOUT.tiny(seed=1)
    content = {
        network: {name: value for name, value in named.items() if not name.endswith("num_batches_tracked")}
        for network, named in written(source.state_dict()).items()
    }
    take(target, content, tmp_path, zipped=False)
    assert_same(source, target)


# ---- what does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    {}, [], torch.zeros(2), {"netG_A_B": {}}, {"netG_A_B": {}, "netG_B_A": {}},
    {"netG_A_B": {"model.1.weight": 3}, "netG_B_A": {}}, {"a": {"x": torch.zeros(1)}},
])  # fmt: skip
def test_other_content_is_refused(content: Any, tmp_path: Path) -> None:
    refused = "not a checkpoint of the published Augmented CycleGAN code"
    with pytest.raises(CheckpointError, match=refused):
        LAYOUT.reader.networks({"checkpoint": content})
    with pytest.raises(CheckpointError, match=refused):  # by part_of
        take(LAYOUT.tiny(), content, tmp_path)


def test_networks_of_another_file_cannot_be_inferred() -> None:
    other = {network: {"model.2.weight": torch.zeros(8, 3, 7, 7)} for network in ("netG_A_B", "netG_B_A")}
    with pytest.raises(CheckpointError, match="widths cannot be read"):
        LAYOUT.reader.networks({"checkpoint": other})


def test_what_is_missing_or_too_much_is_named(tmp_path: Path) -> None:
    content = written(LAYOUT.tiny().state_dict())
    kept = content["netE_B"].pop("enc_mu.weight")
    with pytest.raises(CheckpointError, match=r"no 'netE_B\.enc_mu\.weight' \(our code_encoder\.to_mean\.weight"):
        take(LAYOUT.tiny(), content, tmp_path)
    content["netE_B"] |= {"enc_mu.weight": kept, "enc_other.weight": kept}
    with pytest.raises(CheckpointError, match=r"holds 1 tensors .* first 'netE_B\.enc_other\.weight'"):
        take(LAYOUT.tiny(), content, tmp_path)


def test_another_width_is_named_with_the_networks_that_fit(tmp_path: Path) -> None:
    wide = LAYOUT.tiny("networks.encoder.width=6", "networks.decoder.width=6")
    with pytest.raises(CheckpointError, match=r"'netG_A_B\.model\.1\.weight' has shape \(4, 3, 7, 7\)") as caught:
        take(wide, written(LAYOUT.tiny().state_dict()), tmp_path)
    assert "'a': {'width': 4, 'blocks': 3, 'channels': 3, 'code_dim': 16, 'dropout': 0.0}" in caught.value.fix


def test_other_networks_have_no_place() -> None:
    for name in ("mapper.weight", "encoder.shared.weight", "decoder.b.other.weight", "code_encoder.other.weight"):
        with pytest.raises(CheckpointError, match="has no place in a checkpoint of the published Augmented CycleGAN"):
            LAYOUT.reader.save({name: torch.zeros(1)})


def test_the_step_is_that_of_the_optimizer_with_the_fewest() -> None:
    def adam(step: Any) -> dict[str, Any]:
        return {"state": {0: {"step": step}, 1: {"step": step}}, "param_groups": []}

    content = {"netG_A_B": {}, "optimizer_D_A": adam(775), "optimizer_G_A": adam(torch.tensor(1550.0))}
    assert LAYOUT.reader.trained(content, "latest") == (775, "")
    assert LAYOUT.reader.trained({"netG_A_B": {}}, "latest") == (0, "")


# ---- what a file tells of its networks -----------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "sets"), [
    (RECIPE, (*LAYOUT.small, DROPOUT, UNCONDITIONAL, "networks.encoder.blocks=2", "networks.code_encoder.width=3")),
    (f"{RECIPE}_noise", NOISE_TINY),
])  # fmt: skip
def test_a_file_is_imported_with_the_networks_that_fit(
    recipe: str, sets: tuple[str, ...], tmp_path: Path, forge: Any
) -> None:
    source = LAYOUT.make(*sets, recipe=recipe)
    (file,) = LAYOUT.saved(LAYOUT.written(source), tmp_path).values()
    given = [] if recipe == RECIPE else ["--recipe", recipe]
    assert forge("checkpoint", "import", file, "--format", LAYOUT.name, "--run", tmp_path / "run", *given)[0] == 0
    imported = i2i_forge.load(tmp_path / "run")
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    code = torch.ones(1, 16)
    assert torch.equal(imported.translate(x, "ab", random_code=code), source.translate(x, "ab", random_code=code))
    assert torch.equal(imported.translate(x, "ba"), source.translate(x, "ba"))
