"""The published names of U-Nets and patch discriminators, and the layout of the published pix2pix.

`junyanz_keys.json`: names and shapes of their variants at the default widths, in order. Dropout adds no names.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import Layout, Table, assert_same, drawn, meta, narrow, state_of, tables
from loaded import CATALOG
from shrink import small
from torch import Tensor

import i2i_forge
from i2i_forge.errors import CheckpointError
from i2i_forge_plugins.junyanz.names import in_order
from i2i_forge_plugins.junyanz.patchgan import discriminator_name, discriminator_options, scales_of
from i2i_forge_plugins.junyanz.unet import unet_name, unet_options

KEYS: dict[str, Table] = tables("junyanz")
OF_PIX2PIX = [name for name in KEYS if name.startswith("pix2pix ")]
LAYOUT = Layout("junyanz-pix2pix", small(encoder="levels=5", decoder="levels=5", discriminator="layers=2"))


def published_name(key: str, own: dict[str, Tensor], variant: str) -> str | None:
    role, _, name = key.partition(".")
    if role == "discriminator":
        return discriminator_name(name, scales_of(own, "discriminator."))
    levels = 8 if "unet_256" in variant else 7
    return unet_name(role, name, levels, nested="/all/" in variant, bilinear="bilinear" in variant)


# ---- names, shapes, order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", KEYS)
def test_the_networks_found_have_the_published_names_shapes_and_order(variant: str) -> None:
    table = KEYS[variant]
    tensors = meta(table)
    code_dim = 8 if "/input/" in variant else 0
    options = unet_options(tensors, code_dim) if " G/" in variant else {"discriminator": discriminator_options(tensors)}
    own = state_of(options, "meta")
    names = {key: published_name(key, own, variant) for key in own}
    ours = in_order({str(names[key]): value for key, value in own.items()})
    assert [(name, list(value.shape)) for name, value in ours.items()] == [(name, shape) for name, shape in table]


EXPECTED = {
    "pix2pix G/unet_256/batch": ({"norm": "batch", "bias": False, "levels": 8}, {"upsample": "transposed"}),
    "pix2pix G/unet_256/instance": ({"norm": "instance", "bias": True}, {"norm": "instance", "bias": True}),
    "pix2pix G/unet_256/none": ({"norm": "none", "bias": False}, {"norm": "none", "bias": False}),
    "pix2pix G/unet_128/batch": ({"levels": 7, "width": 64}, {"levels": 7, "width": 64, "channels": 3}),
    "bicyclegan G/unet_256/all/instance/in1/out3/nz8": ({"channels": 1, "code_dim": 8, "code_at": "all"}, {}),
    "bicyclegan G/unet_256/input/instance/nz8": ({"channels": 3, "code_dim": 8, "code_at": "input"}, {"bias": True}),
    "bicyclegan G/unet_256/all/instance/nz8/bilinear": ({"channels": 3}, {"upsample": "bilinear", "channels": 3}),
    "bicyclegan G/unet_256/all/batch/nz8": ({"norm": "batch", "bias": True, "use": "unet"}, {"norm": "batch"}),
}  # fmt: skip
EXPECTED_DISCRIMINATORS = {
    "pix2pix D/n_layers5/batch/in6": {"layers": 5, "norm": "batch", "bias": False, "channels": 6, "scales": 1},
    "pix2pix D/pixel/batch/in6": {"use": "pixel", "width": 64, "channels": 6, "norm": "batch", "bias": False},
    "pix2pix D/pixel/instance/in3": {"use": "pixel", "norm": "instance", "bias": True},
    "bicyclegan D/basic_128_multi/instance/in3/num_Ds2": {"use": "patchgan", "layers": 2, "scales": 2, "bias": True},
}


@pytest.mark.parametrize("variant", EXPECTED)
def test_what_a_u_nets_shapes_tell(variant: str) -> None:
    options = unet_options(meta(KEYS[variant]), 8 if "/input/" in variant else 0)
    for role, expected in zip(("encoder", "decoder"), EXPECTED[variant], strict=True):
        assert expected.items() <= options[role].items()


@pytest.mark.parametrize("variant", EXPECTED_DISCRIMINATORS)
def test_what_a_discriminators_shapes_tell(variant: str) -> None:
    assert EXPECTED_DISCRIMINATORS[variant].items() <= discriminator_options(meta(KEYS[variant])).items()


def test_the_recipes_dropout_stays_and_its_discriminator_is_replaced() -> None:
    """A role with `use` is complete; options without it change the recipe's."""
    files = {"G": KEYS["pix2pix G/unet_256/batch"], "D": KEYS["pix2pix D/pixel/batch/in6"]}
    found = LAYOUT.reader.networks({part: meta(table) for part, table in files.items()})
    assert found["discriminator"]["use"] == "pixel"
    for role in ("encoder", "decoder"):
        assert not {"use", "dropout", "dropout_at_test", "statistics_at_test"} & set(found[role])


# ---- there and back ------------------------------------------------------------------------------------------------


def there_and_back(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    own = state_of(LAYOUT.reader.networks({part: tensors}))
    loaded = LAYOUT.reader.load({part: tensors}, own)
    assert set(loaded) == set(own)
    content: dict[str, Tensor] = LAYOUT.reader.save(loaded)[part]
    return content


@pytest.mark.parametrize("variant", OF_PIX2PIX)
def test_load_and_save_give_back_names_order_and_bits(variant: str) -> None:
    tensors = drawn(narrow(KEYS[variant]))
    assert_same(there_and_back("G" if " G/" in variant else "D", tensors), tensors)


def test_a_file_of_the_full_widths_comes_back() -> None:
    tensors = drawn(KEYS["pix2pix G/unet_128/batch"])
    assert_same(there_and_back("G", tensors), tensors)


def test_the_skip_connections_half_comes_first_there_and_last_here() -> None:
    tensors = drawn(narrow(KEYS["pix2pix G/unet_128/batch"]))
    own = state_of(LAYOUT.reader.networks({"G": tensors}))
    loaded = LAYOUT.reader.load({"G": tensors}, own)
    theirs, ours = tensors["model.model.3.weight"], loaded["decoder.up.0.conv.weight"]
    assert torch.equal(ours, torch.cat([theirs[4:], theirs[:4]]))
    innermost = f"model.model.1.model.{'3.model.' * 5}3.weight"
    assert torch.equal(loaded["decoder.up.6.conv.weight"], tensors[innermost])


def test_a_run_survives_as_function(tmp_path: Path) -> None:
    recipe = i2i_forge.load_recipe("pix2pix_facades", set=LAYOUT.small)
    source, target = i2i_forge.build_trainer(recipe, catalog=CATALOG), LAYOUT.tiny(seed=1)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    source.step({"a": x, "b": -x}, 0)
    assert not torch.equal(source.translate(x, "ab"), target.translate(x, "ab"))
    LAYOUT.load(target, LAYOUT.written(source), tmp_path)
    assert_same(source, target)
    # without dropout, whose masks the seeds decide
    for trainer in (source, target):
        trainer.networks["decoder"]["shared"].dropout_at_test = False
    assert torch.equal(source.translate(x, "ab"), target.translate(x, "ab"))


# ---- old files and wrappers ----------------------------------------------------------------------------------------


def test_wrapped_files_load_and_old_batch_norms_lack_their_count(tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(), LAYOUT.tiny(seed=1)
    content = LAYOUT.written(source)
    old = {
        part: {f"module.{name}": value for name, value in named.items() if not name.endswith("num_batches_tracked")}
        for part, named in content.items()
    }
    assert len(old["G"]) == len(content["G"]) - (3 + 4)
    assert [LAYOUT.reader.part_of(named, "x.pth") for named in old.values()] == ["G", "D"]
    LAYOUT.load(target, old, tmp_path)
    assert_same(source, target)


def test_running_statistics_of_old_instance_norms_are_passed_over(tmp_path: Path) -> None:
    tensors = drawn(narrow(KEYS["pix2pix G/unet_256/instance"]))
    with_statistics = dict(tensors)
    for name in [name for name in tensors if name.endswith("model.1.bias")][:-1]:
        norm = name.replace("1.bias", "2.")
        with_statistics |= {f"{norm}running_mean": torch.ones(4), f"{norm}running_var": torch.ones(4)}
    assert len(with_statistics) > len(tensors)
    assert LAYOUT.reader.networks({"G": with_statistics}) == LAYOUT.reader.networks({"G": tensors})
    assert list(there_and_back("G", with_statistics)) == list(tensors)


# ---- what does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {}, [], torch.zeros(2), {"model.model.0.weight": 3}, {"a": {"x": torch.ones(1)}},
        drawn(narrow(KEYS["bicyclegan G/unet_128/all/instance/nz8"])), {"model.1.weight": torch.ones(1)},
    ],
    ids=["empty", "list", "tensor", "numbers", "munit", "nested", "resnet"],
)  # fmt: skip
def test_files_of_other_programs_are_refused(content: Any) -> None:
    with pytest.raises(CheckpointError, match=r"^x\.pth: this is not a checkpoint of the published pix2pix code"):
        LAYOUT.reader.part_of(content, "x.pth")


@pytest.mark.parametrize("part", ["G", "D"])
def test_networks_of_other_content_are_refused(part: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{part}: this is not a checkpoint of the published pix2pix code"):
        LAYOUT.reader.networks({part: {"model.model.0.weight": torch.zeros(4, 3, 4, 4), "x.0": torch.zeros(1)}})


def test_an_input_that_holds_a_code_is_named() -> None:
    tensors = drawn(narrow(KEYS["bicyclegan G/unet_256/input/instance/nz8"]))
    with pytest.raises(CheckpointError, match="G sees images of 11 channels") as caught:
        LAYOUT.reader.networks({"G": tensors})
    assert "junyanz-bicyclegan" in caught.value.fix


def test_wrong_widths_are_named_with_the_networks_that_fit(tmp_path: Path) -> None:
    wide = LAYOUT.tiny("networks.encoder.width=6", "networks.decoder.width=6")
    with pytest.raises(CheckpointError, match=r"'model\.model\.0\.weight' has shape \(4, 3, 4, 4\), our enc") as caught:
        LAYOUT.load(wide, LAYOUT.written(LAYOUT.tiny()), tmp_path)
    assert "'width': 4" in caught.value.fix


@pytest.mark.parametrize("change", ["decoder.upsample=bilinear", "encoder.norm=spectral", "decoder.norm=layer",
                                    "encoder.per=[a]"])  # fmt: skip
def test_what_the_published_code_does_not_have_has_no_place(change: str) -> None:
    with pytest.raises(CheckpointError, match="has no place in a checkpoint of the published pix2pix code"):
        LAYOUT.written(LAYOUT.tiny(f"networks.{change}"))
