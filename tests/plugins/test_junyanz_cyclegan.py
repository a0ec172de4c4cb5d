"""The layout of the published CycleGAN code.

`cyclegan_keys.json` and `junyanz_keys.json`: names and shapes of the published variants at their own widths, in order.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import CATALOG, FORMATS
from shrink import small
from torch import Tensor

import i2i_forge
from i2i_forge.cli import main
from i2i_forge.errors import CheckpointError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.foreign import load_foreign, read_foreign

HERE = Path(__file__).parent
Table = list[tuple[str, list[int]]]
RESNETS: dict[str, Table] = json.loads((HERE / "cyclegan_keys.json").read_text())
SHARED: dict[str, Table] = json.loads((HERE / "junyanz_keys.json").read_text())
GENERATORS = RESNETS | {name: SHARED[f"pix2pix G/{name}"] for name in (
    "unet_256/batch", "unet_256/instance", "unet_128/batch", "unet_256/none",
)}  # fmt: skip
DISCRIMINATORS = {
    "basic/instance": SHARED["pix2pix D/basic/instance/in3"],
    "pixel/instance": SHARED["pix2pix D/pixel/instance/in3"],
    # published for the pairs of pix2pix; CycleGAN shows its discriminators one image
    **{name: [(key, [3 if size == 6 else size for size in shape]) for key, shape in SHARED[f"pix2pix D/{name}/in6"]]
       for name in ("basic/batch", "n_layers5/batch", "pixel/batch")},
}  # fmt: skip
FORMAT = "junyanz-cyclegan"
PARTS = ("G_A", "G_B", "D_A", "D_B")
TINY = [*small(encoder="blocks=2", decoder="", discriminator="layers=2")]


def reader() -> Any:
    return CATALOG.formats.get(FORMAT)()


def make(*sets: str, device: str = "cpu") -> Any:
    recipe = read_recipe("cyclegan_horse2zebra", set=[*sets, "phases.discriminator.reuse=~"])  # nothing to trace
    return i2i_forge.build_trainer(recipe, device=device, catalog=CATALOG)


def fitting(networks: dict[str, Any], device: str = "cpu") -> Any:
    """A trainer of the networks that a format found; what the recipe itself says of those roles does not count."""
    sets = [f"networks.{role}={json.dumps(spec)}" for role, spec in networks.items()]
    return make(*[f"networks.{role}=~" for role in networks], *sets, device=device)


def narrow(table: Table) -> Table:
    """A sixteenth of every width."""
    return [(name, [size // 16 if size >= 32 else size for size in shape]) for name, shape in table]


def drawn(table: Table, seed: int = 0, device: str = "cpu") -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in table:
        if device == "meta":
            made[name] = torch.empty(shape, device=device)
        elif name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(len(made))
        else:
            made[name] = torch.randn(shape, generator=draws)
    return made


def published(trainer: Any, folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    content = reader().save(trainer.state_dict())
    files = {part: folder / f"latest_net_{part}.pth" for part in content}
    for part, file in files.items():
        torch.save(content[part], file)
    return content, files


def assert_same(trainer: Any, other: Any) -> None:
    state = other.state_dict()
    for name, value in trainer.state_dict().items():
        assert torch.equal(state[name], value), name


# ---- names, shapes, order, bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parts", "table"), [
    *((("G_A", "G_B"), table) for table in GENERATORS.values()),
    *((("D_A", "D_B"), table) for table in DISCRIMINATORS.values()),
], ids=[*GENERATORS, *DISCRIMINATORS])  # fmt: skip
def test_the_inferred_networks_have_the_published_names_and_shapes(parts: tuple[str, str], table: Table) -> None:
    """At the published widths, on the device meta: every tensor of the files has one place, and the reverse."""
    files = {part: drawn(table, device="meta") for part in parts}
    own = fitting(reader().networks(files), device="meta").state_dict()
    loaded = reader().load(files, own)
    roles = ("encoder.", "decoder.") if parts[0] == "G_A" else ("discriminator.",)
    assert {name for name in own if name.startswith(roles)} == set(loaded)
    assert len({id(value) for value in loaded.values()}) == len(loaded) == 2 * len(table)


@pytest.mark.parametrize("generator", GENERATORS)
def test_files_come_in_and_go_out_with_every_bit(generator: str, tmp_path: Path) -> None:
    """Each part has numbers of its own; a discriminator of each kind meets some generator."""
    discriminator = list(DISCRIMINATORS)[list(GENERATORS).index(generator) % len(DISCRIMINATORS)]
    tables = {"G": narrow(GENERATORS[generator]), "D": narrow(DISCRIMINATORS[discriminator])}
    content = {part: drawn(tables[part[0]], seed=k) for k, part in enumerate(PARTS)}
    files = {part: tmp_path / f"latest_net_{part}.pth" for part in PARTS}
    for part, file in files.items():
        torch.save(content[part], file)
    trainer = fitting(reader().networks(content))
    load_foreign(trainer, files, FORMAT, FORMATS)
    saved = reader().save(trainer.state_dict())
    for part in PARTS:
        assert list(saved[part]) == list(content[part])
        for name, value in content[part].items():
            assert torch.equal(saved[part][name], value), name


def test_the_published_sizes_are_inferred() -> None:
    found = reader().networks({"G_A": drawn(RESNETS["resnet_9blocks/instance/no_dropout"], device="meta")})
    common = {"use": "resnet", "per": ["a", "b"], "width": 64, "norm": "instance", "bias": True, "channels": 3}
    assert found == {
        "encoder": common | {"downsamples": 2, "blocks": 9},
        "decoder": common | {"upsamples": 2},
    }
    six = reader().networks({"G_B": drawn(RESNETS["resnet_6blocks/instance/no_dropout"], device="meta")})
    assert six["encoder"]["blocks"] == 6
    batch = reader().networks({"G_B": drawn(RESNETS["resnet_9blocks/batch/no_dropout"], device="meta")})
    assert (batch["encoder"]["norm"], batch["decoder"]["bias"]) == ("batch", False)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_dropout_is_told_by_the_second_convolutions_place_and_goes_out_there_again(norm: str) -> None:
    for dropout, place in ((0.5, 6), (0.0, 5)):
        made = make(*TINY, f"networks.encoder.norm={norm}", f"networks.encoder.dropout={dropout}")
        saved = reader().save(made.state_dict())
        assert saved["G_A"][f"model.10.conv_block.{place}.weight"].shape == (16, 16, 3, 3)
        encoder = reader().networks(saved)["encoder"]
        assert encoder.get("dropout", 0.0) == dropout
        assert encoder["norm"] == norm


# ---- which network is which ----------------------------------------------------------------------------------------


def test_generators_lead_from_domain_to_domain_and_d_a_judges_b(tmp_path: Path) -> None:
    source, target = make(*TINY, "seed=1"), make(*TINY, "seed=2")
    content, files = published(source, tmp_path)
    assert torch.equal(content["G_A"]["model.1.weight"], source.state_dict()["encoder.a.stem.conv.weight"])
    before = {name: value.clone() for name, value in target.state_dict().items()}
    load_foreign(target, {part: files[part] for part in ("G_A", "D_A")}, FORMAT, FORMATS)
    own = source.state_dict()
    for name, value in target.state_dict().items():
        taken = name.startswith(("encoder.a.", "decoder.b.", "discriminator.b."))
        assert torch.equal(value, own[name] if taken else before[name]), name
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(source.translate(x, "ab"), target.translate(x, "ab"))
    assert not torch.equal(source.translate(x, "ba"), target.translate(x, "ba"))


@pytest.mark.parametrize(("file", "part"), [
    ("latest_net_G_A.pth", "G_A"), ("200_net_G_B.pth", "G_B"), ("G_B.pth", "G_B"), ("run/12_net_G_B.pth", "G_B"),
    ("horse2zebra.pth", "G_A"), ("latest_net_G.pth", "G_A"), ("style_BIG_Autumn.pth", "G_A"),
])  # fmt: skip
def test_a_generators_part_is_in_its_name_or_g_a(file: str, part: str) -> None:
    for name in ("resnet_9blocks/instance/no_dropout", "unet_256/batch"):
        assert reader().part_of(drawn(GENERATORS[name], device="meta"), file) == part


@pytest.mark.parametrize(("file", "remark"), [
    ("latest_net_G_A.pth", ""), ("horse2zebra.pth", ""), ("200_net_G_A.pth", "epoch 200"),
    ("iter_5000_net_G_A.pth", "5000 images"),
])  # fmt: skip
def test_the_number_in_a_name_is_no_step(
    file: str, remark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reader().trained({}, file) == (0, remark)
    torch.save(drawn(narrow(GENERATORS["resnet_9blocks/instance/no_dropout"])), tmp_path / file)
    with pytest.raises(SystemExit) as ended:
        main(["checkpoint", "import", str(tmp_path / file), "--format", FORMAT, "--run", str(tmp_path / "run")])
    assert ended.value.code == 0 and checkpoint.list_steps(tmp_path / "run/checkpoints") == [0]
    said = f"is of {remark}, which is no number of steps: the run begins at step 0"
    assert (said in capsys.readouterr().err) == bool(remark)


def test_a_discriminators_part_is_in_its_name() -> None:
    content = drawn(DISCRIMINATORS["basic/instance"], device="meta")
    assert reader().part_of(content, "latest_net_D_A.pth") == "D_A"
    assert reader().part_of(content, "5_net_D_B.pth") == "D_B"
    with pytest.raises(CheckpointError, match="does not tell which discriminator") as caught:
        reader().part_of(content, "latest_net_D.pth")
    assert "_D_A.pth if it judges images of B" in caught.value.fix


def test_a_name_that_contradicts_its_content_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds a generator, its name says D_A"):
        reader().part_of(drawn(GENERATORS["unet_256/batch"], device="meta"), "latest_net_D_A.pth")
    with pytest.raises(CheckpointError, match="holds a discriminator, its name says G_B"):
        reader().part_of(drawn(DISCRIMINATORS["pixel/batch"], device="meta"), "latest_net_G_B.pth")


def test_exported_files_are_named_as_published_and_are_told_apart(tmp_path: Path) -> None:
    for part, content in reader().save(make(*TINY).state_dict()).items():
        file = tmp_path / reader().file.format(part=part, step=7)
        torch.save(content, file)
        assert file.name == f"7_net_{part}.pth"
        assert reader().part_of(read_foreign(file), file.name) == part


def test_domains_may_have_different_generators(tmp_path: Path) -> None:
    tables = {
        "G_A": narrow(GENERATORS["resnet_6blocks/instance/no_dropout"]), "G_B": narrow(GENERATORS["unet_128/batch"]),
    }  # fmt: skip
    content = {part: drawn(table) for part, table in tables.items()}
    found = reader().networks(content)
    assert found["encoder"]["per"]["a"]["use"] == "resnet"
    assert found["decoder"]["per"]["a"]["use"] == "unet"
    files = {part: tmp_path / f"latest_net_{part}.pth" for part in content}
    for part, file in files.items():
        torch.save(content[part], file)
    trainer = fitting(found)
    load_foreign(trainer, files, FORMAT, FORMATS)
    saved = reader().save(trainer.state_dict())
    for part in content:
        assert list(saved[part]) == list(content[part])
        assert all(torch.equal(saved[part][name], value) for name, value in content[part].items())


# ---- old files, wrapped files --------------------------------------------------------------------------------------


def test_running_statistics_of_old_instance_norms_are_passed_over(tmp_path: Path) -> None:
    """Files of torch 0.3, such as the released ones, hold them; nothing ever used them."""
    source, target = make(*TINY, "seed=1"), make(*TINY, "seed=2")
    content, files = published(source, tmp_path)
    for tensors in content.values():
        for name in [n for n in tensors if n.endswith("bias")]:
            *layer, last, _ = name.split(".")
            for statistic in ("running_mean", "running_var"):
                tensors[".".join([*layer, str(int(last) + 1), statistic])] = torch.full_like(tensors[name], 3)
    assert reader().networks(content) == reader().networks(reader().save(source.state_dict()))
    for part, file in files.items():
        torch.save(content[part], file, _use_new_zipfile_serialization=False)
    load_foreign(target, files, FORMAT, FORMATS)
    assert_same(source, target)


def test_batch_norms_load_without_their_count(tmp_path: Path) -> None:
    sets = [*TINY, *(f"networks.{role}.norm=batch" for role in ("encoder", "decoder"))]
    source, target = make(*sets, "seed=1"), make(*sets, "seed=2")
    content, files = published(source, tmp_path)
    dropped = [name for name in content["G_A"] if name.endswith("num_batches_tracked")]
    assert len(dropped) == 3 + 4 + 2
    for part, file in files.items():
        torch.save({n: v for n, v in content[part].items() if n not in dropped}, file)
    load_foreign(target, files, FORMAT, FORMATS)
    assert_same(source, target)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_do_not_matter(prefix: str, tmp_path: Path) -> None:
    source, target = make(*TINY, "seed=1"), make(*TINY, "seed=2")
    content, files = published(source, tmp_path)
    for part, file in files.items():
        wrapped = {f"{prefix}{name}": value for name, value in content[part].items()}
        assert reader().part_of(wrapped, file.name) == part
        torch.save(wrapped, file)
    load_foreign(target, files, FORMAT, FORMATS)
    assert_same(source, target)


def test_the_image_pool_is_no_part_of_it(tmp_path: Path) -> None:
    trainer = make(*TINY)
    trainer.states["image_pool"]["ab"](torch.rand(1, 3, 8, 8))
    saved = reader().save(trainer.state_dict())
    assert not [name for tensors in saved.values() for name in tensors if not name.startswith("model.")]


# ---- what does not fit ---------------------------------------------------------------------------------------------


def test_other_depths_are_refused_in_words(tmp_path: Path) -> None:
    _, files = published(make(*TINY), tmp_path)
    for changed in ("networks.encoder.blocks=1", "networks.encoder.blocks=3", "networks.encoder.dropout=0.5"):
        with pytest.raises(CheckpointError) as caught:
            load_foreign(make(*TINY, changed), files, FORMAT, FORMATS)
        assert "forge checkpoint import" in caught.value.fix or "these networks" in caught.value.fix


def test_other_widths_are_named_with_the_networks_that_fit(tmp_path: Path) -> None:
    _, files = published(make(*TINY), tmp_path)
    with pytest.raises(CheckpointError, match=r"'model\.1\.weight' has shape \(4, 3, 7, 7\), our encoder\.a") as caught:
        load_foreign(make(*TINY, "networks.encoder.width=6", "networks.decoder.width=6"), files, FORMAT, FORMATS)
    assert "'width': 4" in caught.value.fix


@pytest.mark.parametrize("content", [{}, [], {"model.1.weight": 3}, {"enc.weight": torch.zeros(1)}])
def test_other_content_is_refused(content: Any) -> None:
    with pytest.raises(CheckpointError, match="not a checkpoint of the published CycleGAN code"):
        reader().part_of(content, "latest_net_G_A.pth")


def test_a_generator_with_a_hole_is_refused() -> None:
    content = drawn(narrow(RESNETS["resnet_6blocks/instance/no_dropout"]))
    del content["model.23.weight"]
    with pytest.raises(CheckpointError, match="widths cannot be read"):
        reader().networks({"G_A": content})


def test_images_of_other_channels_are_refused() -> None:
    content = drawn(narrow(RESNETS["resnet_6blocks/instance/no_dropout"]))
    content["model.23.weight"], content["model.23.bias"] = torch.zeros(1, 4, 7, 7), torch.zeros(1)
    with pytest.raises(CheckpointError, match="makes images of 1 channels from images of 3"):
        reader().networks({"G_A": content})


def test_shared_networks_have_no_place_in_the_layout() -> None:
    with pytest.raises(CheckpointError, match="has no place"):
        reader().save(make(*TINY, "networks.discriminator.per=~").state_dict())
