"""The published UNIT layout. `unit_keys.json`: the names and shapes of the default widths, in order."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import FORMATS

import i2i_forge
from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import load_foreign, part_of

KEYS: dict[str, list[tuple[str, list[int]]]] = json.loads((Path(__file__).parent / "unit_keys.json").read_text())
FORMAT = "nvlabs-unit"
TINY = [f"networks.{role}.{option}" for role in ("encoder", "decoder") for option in ("width=4", "blocks=2")]
TINY += ["networks.discriminator.width=4", "networks.discriminator.layers=3", "networks.discriminator.scales=2"]
MUNIT = [f"networks.{role}.width=4" for role in ("content_encoder", "style_encoder", "decoder", "discriminator")]


def make(*sets: str, device: str = "cpu", dtype: torch.dtype = torch.float32, recipe: str = "unit_edges2shoes") -> Any:
    return i2i_forge.build_trainer(i2i_forge.load_recipe(recipe, set=sets), device=device, dtype=dtype)


def tiny(*sets: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    return make(*TINY, f"seed={seed}", *sets, dtype=dtype)


def reader(name: str = FORMAT) -> Any:
    return FORMATS.get(name)()


def published(trainer: Any, folder: Path, layout: str = FORMAT) -> tuple[dict[str, Any], dict[str, Path]]:
    """A trainer's weights in the published layout, also as files."""
    content = reader(layout).save(trainer.state_dict())
    files = {part: folder / f"{part}_01000000.pt" for part in content}
    for part, file in files.items():
        torch.save(content[part], file)
    return content, files


def default_files() -> dict[str, dict[str, dict[str, torch.Tensor]]]:
    """Files of the published widths, on the device meta: names and shapes are all that is asked."""
    return {
        part: {d: {name: torch.empty(shape, device="meta") for name, shape in table} for d in ("a", "b")}
        for part, table in KEYS.items()
    }


def test_the_table_is_the_one_of_the_specification() -> None:
    assert {part: len(table) for part, table in KEYS.items()} == {"gen": 48, "dis": 30}
    trainer = make(device="meta")
    assert (
        sum(p.numel() for role in ("encoder", "decoder") for p in trainer.networks[role]["a"].parameters()) == 11140483
    )


def test_saved_names_shapes_and_order_are_the_published_ones() -> None:
    own = {name: torch.empty(value.shape) for name, value in make(device="meta").state_dict().items()}
    saved = reader().save(own)
    assert list(saved) == ["gen", "dis"]
    for part, table in KEYS.items():
        assert list(saved[part]) == ["a", "b"]
        for domain in ("a", "b"):
            assert [[name, list(value.shape)] for name, value in saved[part][domain].items()] == table


def test_published_files_fill_every_tensor_of_ours_once() -> None:
    own, files = make(device="meta").state_dict(), default_files()
    loaded = reader().load(files, own)
    assert set(loaded) == set(own)
    assert len({id(value) for value in loaded.values()}) == len(own) == 2 * (48 + 30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_load_and_save_give_back_names_order_and_bits(norm: str, dtype: torch.dtype, tmp_path: Path) -> None:
    sets = f"networks.discriminator.norm={norm}"
    source, target = tiny(sets, dtype=dtype), tiny(sets, seed=1, dtype=dtype)
    content, files = published(source, tmp_path)
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    again = reader().save(target.state_dict())
    for part in content:
        for domain in ("a", "b"):
            assert list(again[part][domain]) == list(content[part][domain])
            for name, value in content[part][domain].items():
                assert again[part][domain][name].dtype == value.dtype == dtype
                assert torch.equal(again[part][domain][name], value), name


def test_running_statistics_of_old_instance_norms_are_passed_over(tmp_path: Path) -> None:
    """Old files hold statistics for every plain instance norm, the decoder's too; nothing ever used them."""
    source, target = tiny(), tiny(seed=1)
    content, files = published(source, tmp_path)
    for tensors in content["gen"].values():
        blocks = [n for n in tensors if n.startswith(("enc.", "dec.model.0.")) and n.endswith("conv.bias")]
        for name in blocks:
            layer, channels = name.removesuffix("conv.bias"), len(tensors[name])
            tensors[f"{layer}norm.running_mean"] = torch.full((channels,), 3.0)
            tensors[f"{layer}norm.running_var"] = torch.full((channels,), 5.0)
            tensors[f"{layer}norm.num_batches_tracked"] = torch.tensor(7)
        assert len(blocks) == 7 + 4
    torch.save(content["gen"], files["gen"], _use_new_zipfile_serialization=False)
    load_foreign(target, files, FORMAT, FORMATS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    assert reader().networks(content)["decoder"] == {"width": 4, "upsamples": 2, "blocks": 2}


def test_networks_are_inferred_and_fit(tmp_path: Path) -> None:
    assert reader().networks(default_files()) == {
        "encoder": {"width": 64, "downsamples": 2, "blocks": 4},
        "decoder": {"width": 64, "upsamples": 2, "blocks": 4},
        "discriminator": {"width": 64, "layers": 4, "scales": 3, "norm": "none"},
    }
    odd = tiny("networks.encoder.downsamples=1", "networks.decoder.upsamples=1", "networks.encoder.blocks=3")
    content, files = published(odd, tmp_path)
    options = reader().networks(content)
    fitting = make(
        *(f"networks.{role}.{key}={value}" for role, given in options.items() for key, value in given.items())
    )
    load_foreign(fitting, files, FORMAT, FORMATS)
    for name, value in odd.state_dict().items():
        assert torch.equal(fitting.state_dict()[name], value)


def test_munit_and_unit_are_told_apart(tmp_path: Path) -> None:
    unit, _ = published(tiny(), tmp_path)
    munit, files = published(make(*MUNIT, recipe="munit_edge2shoes"), tmp_path, "nvlabs-munit")
    assert [part_of(unit[part], "x.pt", FORMAT, FORMATS) for part in ("gen", "dis")] == ["gen", "dis"]
    for content, given, right in ((munit, FORMAT, "nvlabs-munit"), (unit, "nvlabs-munit", FORMAT)):
        with pytest.raises(CheckpointError, match=f"looks like 'gen' of {reader(right).title}") as caught:
            part_of(content["gen"], "x.pt", given, FORMATS)
        assert caught.value.fix == f"use --format {right}"
    trainer = tiny()
    with pytest.raises(CheckpointError, match="it looks like 'gen' of the published MUNIT code"):
        load_foreign(trainer, {"gen": files["gen"]}, FORMAT, FORMATS)
    with pytest.raises(CheckpointError, match="widths cannot be read"):
        reader().networks({"gen": munit["gen"]})


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    for content in ({"a": {"x.weight": torch.ones(2)}, "b": {"x.weight": torch.ones(2)}}, {"a": {}}, [], {"x": 1}):
        torch.save(content, tmp_path / "gen.pt")
        with pytest.raises(CheckpointError, match="not a checkpoint of the published UNIT code"):
            load_foreign(tiny(), {"gen": tmp_path / "gen.pt"}, FORMAT, FORMATS)


def test_shared_networks_have_no_place(tmp_path: Path) -> None:
    shared = tiny("networks.encoder.per=~")
    with pytest.raises(CheckpointError, match=r"'encoder\.stem.* has no place .* holds one encoder for each") as caught:
        reader().save(shared.state_dict())
    assert caught.value.fix == "train with networks.encoder.per: [a, b]"
    with pytest.raises(CheckpointError, match="tensors that the recipe's networks lack"):
        load_foreign(shared, published(tiny(), tmp_path)[1], FORMAT, FORMATS)
