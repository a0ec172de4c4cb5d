"""The layout of the published CycleGAN code.

`cyclegan_keys.json` and `junyanz_keys.json`: names and shapes of the published variants at their own widths, in order.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import Layout, Table, assert_same, drawn, meta, narrow, tables
from shrink import small

from i2i_forge.errors import CheckpointError
from i2i_forge.run import checkpoint
from i2i_forge.run.foreign import read_foreign

RESNETS, SHARED = tables("cyclegan"), tables("junyanz")
GENERATORS: dict[str, Table] = RESNETS | {name: SHARED[f"pix2pix G/{name}"] for name in (
    "unet_256/batch", "unet_256/instance", "unet_128/batch", "unet_256/none",
)}  # fmt: skip
DISCRIMINATORS: dict[str, Table] = {
    "basic/instance": SHARED["pix2pix D/basic/instance/in3"],
    "pixel/instance": SHARED["pix2pix D/pixel/instance/in3"],
    # published for the pairs of pix2pix; CycleGAN shows its discriminators one image
    **{name: [(key, [3 if size == 6 else size for size in shape]) for key, shape in SHARED[f"pix2pix D/{name}/in6"]]
       for name in ("basic/batch", "n_layers5/batch", "pixel/batch")},
}  # fmt: skip
PARTS = ("G_A", "G_B", "D_A", "D_B")
LAYOUT = Layout("junyanz-cyclegan", small(encoder="blocks=2", decoder="", discriminator="layers=2"))


# ---- names, shapes, order, bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parts", "table"), [
    *((("G_A", "G_B"), table) for table in GENERATORS.values()),
    *((("D_A", "D_B"), table) for table in DISCRIMINATORS.values()),
], ids=[*GENERATORS, *DISCRIMINATORS])  # fmt: skip
def test_the_inferred_networks_have_the_published_names_and_shapes(parts: tuple[str, str], table: Table) -> None:
    """At the published widths, on the device meta: every tensor of the files has one place, and the reverse."""
    files = {part: meta(table) for part in parts}
    own = LAYOUT.fitting(LAYOUT.reader.networks(files), "meta").state_dict()
    loaded = LAYOUT.reader.load(files, own)
    roles = ("encoder.", "decoder.") if parts[0] == "G_A" else ("discriminator.",)
    assert {name for name in own if name.startswith(roles)} == set(loaded)
    assert len({id(value) for value in loaded.values()}) == len(loaded) == 2 * len(table)


@pytest.mark.parametrize("generator", GENERATORS)
def test_files_come_in_and_go_out_with_every_bit(generator: str, tmp_path: Path) -> None:
    """Each part has numbers of its own; a discriminator of each kind meets some generator."""
    discriminator = list(DISCRIMINATORS)[list(GENERATORS).index(generator) % len(DISCRIMINATORS)]
    tables = {"G": narrow(GENERATORS[generator]), "D": narrow(DISCRIMINATORS[discriminator])}
    content = {part: drawn(tables[part[0]], seed=k) for k, part in enumerate(PARTS)}
    trainer = LAYOUT.fitting(LAYOUT.reader.networks(content))
    LAYOUT.load(trainer, content, tmp_path)
    assert_same(content, LAYOUT.written(trainer))


def test_the_published_sizes_are_inferred() -> None:
    found = LAYOUT.reader.networks({"G_A": meta(RESNETS["resnet_9blocks/instance/no_dropout"])})
    common = {"use": "resnet", "per": ["a", "b"], "width": 64, "norm": "instance", "bias": True, "channels": 3}
    assert found == {
        "encoder": common | {"downsamples": 2, "blocks": 9},
        "decoder": common | {"upsamples": 2},
    }
    six = LAYOUT.reader.networks({"G_B": meta(RESNETS["resnet_6blocks/instance/no_dropout"])})
    assert six["encoder"]["blocks"] == 6
    batch = LAYOUT.reader.networks({"G_B": meta(RESNETS["resnet_9blocks/batch/no_dropout"])})
    assert (batch["encoder"]["norm"], batch["decoder"]["bias"]) == ("batch", False)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_dropout_is_told_by_the_second_convolutions_place_and_goes_out_there_again(norm: str) -> None:
    for dropout, place in ((0.5, 6), (0.0, 5)):
        made = LAYOUT.tiny(f"networks.encoder.norm={norm}", f"networks.encoder.dropout={dropout}")
        saved = LAYOUT.reader.save(made.state_dict())
        assert saved["G_A"][f"model.10.conv_block.{place}.weight"].shape == (16, 16, 3, 3)
        encoder = LAYOUT.reader.networks(saved)["encoder"]
        assert encoder.get("dropout", 0.0) == dropout
        assert encoder["norm"] == norm


# ---- which network is which ----------------------------------------------------------------------------------------


def test_generators_lead_from_domain_to_domain_and_d_a_judges_b(tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(seed=1), LAYOUT.tiny(seed=2)
    content = LAYOUT.written(source)
    assert torch.equal(content["G_A"]["model.1.weight"], source.state_dict()["encoder.a.stem.conv.weight"])
    before = LAYOUT.tiny(seed=2).state_dict()
    LAYOUT.load(target, {part: content[part] for part in ("G_A", "D_A")}, tmp_path)
    taken = ("encoder.a.", "decoder.b.", "discriminator.b.")
    own = source.state_dict()
    assert_same(target, {name: (own if name.startswith(taken) else before)[name] for name in own})
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(source.translate(x, "ab"), target.translate(x, "ab"))
    assert not torch.equal(source.translate(x, "ba"), target.translate(x, "ba"))


@pytest.mark.parametrize(("file", "part"), [
    ("latest_net_G_A.pth", "G_A"), ("200_net_G_B.pth", "G_B"), ("G_B.pth", "G_B"), ("run/12_net_G_B.pth", "G_B"),
    ("horse2zebra.pth", "G_A"), ("latest_net_G.pth", "G_A"), ("style_BIG_Autumn.pth", "G_A"),
])  # fmt: skip
def test_a_generators_part_is_in_its_name_or_g_a(file: str, part: str) -> None:
    for name in ("resnet_9blocks/instance/no_dropout", "unet_256/batch"):
        assert LAYOUT.reader.part_of(meta(GENERATORS[name]), file) == part


@pytest.mark.parametrize(("file", "remark"), [
    ("latest_net_G_A.pth", ""), ("200_net_G_A.pth", "epoch 200"), ("iter_5000_net_G_A.pth", "5000 images"),
])  # fmt: skip
def test_the_number_in_a_name_is_no_step(file: str, remark: str, tmp_path: Path, forge: Any) -> None:
    assert LAYOUT.reader.trained({}, file) == (0, remark)
    assert LAYOUT.reader.trained({}, "horse2zebra.pth") == (0, "")
    torch.save(drawn(narrow(GENERATORS["resnet_9blocks/instance/no_dropout"])), tmp_path / file)
    code, _, err = forge("checkpoint", "import", tmp_path / file, "--format", LAYOUT.name, "--run", tmp_path / "run")
    assert code == 0 and checkpoint.list_steps(tmp_path / "run/checkpoints") == [0]
    assert (f"is of {remark}, which is no number of steps: the run begins at step 0" in err) == bool(remark)


def test_a_discriminators_part_is_in_its_name() -> None:
    content = meta(DISCRIMINATORS["basic/instance"])
    assert LAYOUT.reader.part_of(content, "latest_net_D_A.pth") == "D_A"
    assert LAYOUT.reader.part_of(content, "5_net_D_B.pth") == "D_B"
    with pytest.raises(CheckpointError, match="does not tell which discriminator") as caught:
        LAYOUT.reader.part_of(content, "latest_net_D.pth")
    assert "_D_A.pth if it judges images of B" in caught.value.fix


def test_a_name_that_contradicts_its_content_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds a generator, its name says D_A"):
        LAYOUT.reader.part_of(meta(GENERATORS["unet_256/batch"]), "latest_net_D_A.pth")
    with pytest.raises(CheckpointError, match="holds a discriminator, its name says G_B"):
        LAYOUT.reader.part_of(meta(DISCRIMINATORS["pixel/batch"]), "latest_net_G_B.pth")


def test_exported_files_are_named_as_published_and_are_told_apart(tmp_path: Path) -> None:
    for part, content in LAYOUT.written(LAYOUT.tiny()).items():
        file = tmp_path / LAYOUT.reader.file.format(part=part, step=7)
        torch.save(content, file)
        assert file.name == f"7_net_{part}.pth"
        assert LAYOUT.reader.part_of(read_foreign(file), file.name) == part


def test_domains_may_have_different_generators(tmp_path: Path) -> None:
    tables = {
        "G_A": narrow(GENERATORS["resnet_6blocks/instance/no_dropout"]), "G_B": narrow(GENERATORS["unet_128/batch"]),
    }  # fmt: skip
    content = {part: drawn(table) for part, table in tables.items()}
    found = LAYOUT.reader.networks(content)
    assert found["encoder"]["per"]["a"]["use"] == "resnet"
    assert found["decoder"]["per"]["a"]["use"] == "unet"
    trainer = LAYOUT.fitting(found)
    LAYOUT.load(trainer, content, tmp_path)
    saved = LAYOUT.written(trainer)
    assert_same(content, {part: saved[part] for part in content})


# ---- old files, wrapped files --------------------------------------------------------------------------------------


def test_running_statistics_of_old_instance_norms_are_passed_over(tmp_path: Path) -> None:
    """Files of torch 0.3, such as the released ones, hold them; nothing ever used them."""
    source, target = LAYOUT.tiny(seed=1), LAYOUT.tiny(seed=2)
    content = LAYOUT.written(source)
    for tensors in content.values():
        for name in [n for n in tensors if n.endswith("bias")]:
            *layer, last, _ = name.split(".")
            for statistic in ("running_mean", "running_var"):
                tensors[".".join([*layer, str(int(last) + 1), statistic])] = torch.full_like(tensors[name], 3)
    assert LAYOUT.reader.networks(content) == LAYOUT.reader.networks(LAYOUT.written(source))
    LAYOUT.load(target, content, tmp_path, zipped=False)
    assert_same(source, target)


def test_batch_norms_load_without_their_count(tmp_path: Path) -> None:
    sets = [f"networks.{role}.norm=batch" for role in ("encoder", "decoder")]
    source, target = LAYOUT.tiny(*sets, seed=1), LAYOUT.tiny(*sets, seed=2)
    content = LAYOUT.written(source)
    dropped = [name for name in content["G_A"] if name.endswith("num_batches_tracked")]
    assert len(dropped) == 3 + 4 + 2
    old = {part: {n: v for n, v in named.items() if n not in dropped} for part, named in content.items()}
    LAYOUT.load(target, old, tmp_path)
    assert_same(source, target)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_do_not_matter(prefix: str, tmp_path: Path) -> None:
    source, target = LAYOUT.tiny(seed=1), LAYOUT.tiny(seed=2)
    wrapped = {p: {f"{prefix}{n}": v for n, v in named.items()} for p, named in LAYOUT.written(source).items()}
    assert [LAYOUT.reader.part_of(named, f"latest_net_{part}.pth") for part, named in wrapped.items()] == [*wrapped]
    LAYOUT.load(target, wrapped, tmp_path)
    assert_same(source, target)


def test_the_image_pool_is_no_part_of_it(tmp_path: Path) -> None:
    trainer = LAYOUT.tiny()
    trainer.states["image_pool"]["ab"](torch.rand(1, 3, 8, 8))
    saved = LAYOUT.reader.save(trainer.state_dict())
    assert not [name for tensors in saved.values() for name in tensors if not name.startswith("model.")]


# ---- what does not fit ---------------------------------------------------------------------------------------------


def test_other_depths_are_refused_in_words(tmp_path: Path) -> None:
    content = LAYOUT.written(LAYOUT.tiny())
    for changed in ("networks.encoder.blocks=1", "networks.encoder.blocks=3", "networks.encoder.dropout=0.5"):
        with pytest.raises(CheckpointError) as caught:
            LAYOUT.load(LAYOUT.tiny(changed), content, tmp_path)
        assert "forge checkpoint import" in caught.value.fix or "these networks" in caught.value.fix


def test_other_widths_are_named_with_the_networks_that_fit(tmp_path: Path) -> None:
    content = LAYOUT.written(LAYOUT.tiny())
    with pytest.raises(CheckpointError, match=r"'model\.1\.weight' has shape \(4, 3, 7, 7\), our encoder\.a") as caught:
        LAYOUT.load(LAYOUT.tiny("networks.encoder.width=6", "networks.decoder.width=6"), content, tmp_path)
    assert "'width': 4" in caught.value.fix


@pytest.mark.parametrize("content", [{}, [], {"model.1.weight": 3}, {"enc.weight": torch.zeros(1)}])
def test_other_content_is_refused(content: Any) -> None:
    with pytest.raises(CheckpointError, match="not a checkpoint of the published CycleGAN code"):
        LAYOUT.reader.part_of(content, "latest_net_G_A.pth")


def test_a_generator_with_a_hole_is_refused() -> None:
    content = drawn(narrow(RESNETS["resnet_6blocks/instance/no_dropout"]))
    del content["model.23.weight"]
    with pytest.raises(CheckpointError, match="widths cannot be read"):
        LAYOUT.reader.networks({"G_A": content})


def test_shared_networks_have_no_place_in_the_layout() -> None:
    with pytest.raises(CheckpointError, match="has no place"):
        LAYOUT.reader.save(LAYOUT.tiny("networks.discriminator.per=~").state_dict())
