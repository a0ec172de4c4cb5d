"""Other programs' checkpoints of images that are not RGB: in, a translation, and out again with equal bits.

The files are stand-ins: the published names and shapes, with the first and the last layers of other channels.
"""

import json
from typing import Any

import pytest
import torch
import yaml
from layouts import Layout, Table, assert_same, drawn, narrow, tables
from loaded import CATALOG
from shrink import TINY_MUNIT, small

from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.errors import CheckpointError
from i2i_forge.recipe.domains import Domain
from i2i_forge.run.foreign_images import refuse_other_values
from i2i_forge.translate.loading import load

SHARED, RESNETS = tables("junyanz"), tables("cyclegan")
UNET, JUDGE = SHARED["pix2pix G/unet_128/batch"], SHARED["pix2pix D/basic/batch/in6"]
RESNET, ONE = RESNETS["resnet_6blocks/instance/no_dropout"], SHARED["pix2pix D/basic/instance/in3"]
GREY = {"kind": "grey8"}


def unet(seen: int, made: int) -> Table:
    changed = {"model.model.0.weight": (1, seen), "model.model.3.weight": (1, made), "model.model.3.bias": (0, made)}
    return of_channels(UNET, changed)


def resnet(seen: int, made: int) -> Table:
    return of_channels(RESNET, {"model.1.weight": (1, seen), "model.23.weight": (0, made), "model.23.bias": (0, made)})


def of_channels(table: Table, changed: dict[str, tuple[int, int]]) -> Table:
    """The table at a sixteenth of its widths, with other sizes along an axis of some of its tensors."""
    assert changed.keys() <= dict(table).keys()
    return [
        (name, [changed[name][1] if name in changed and axis == changed[name][0] else size
                for axis, size in enumerate(shape)])
        for name, shape in narrow(table)
    ]  # fmt: skip


def judge(seen: int) -> Table:
    return of_channels(JUDGE if seen == 6 else ONE, {"model.0.weight": (1, seen)})


def pairs(seen: int) -> Table:
    return of_channels(JUDGE, {"model.0.weight": (1, seen)})


def several(count: int) -> dict[str, Any]:
    return {"channels": count, "range": [0, 255]}


PIX2PIX, CYCLEGAN = "junyanz-pix2pix", "junyanz-cyclegan"
FILES = {  # format, content of parts, what `import` is told, domains, channels of a and b
    "pix2pix of grey": (PIX2PIX, {"G": unet(1, 1), "D": pairs(2)}, (), {"a": GREY, "b": GREY}, (1, 1)),
    "pix2pix 2 to 5, without D": (PIX2PIX, {"G": unet(2, 5)}, (), {"a": several(2), "b": several(5)}, (2, 5)),
    "pix2pix RGB to grey": (PIX2PIX, {"G": unet(3, 1), "D": pairs(4)}, (), {"b": GREY}, (3, 1)),
    "pix2pix grey to RGB": (PIX2PIX, {"G": unet(1, 3), "D": pairs(4)}, ("--domains", "grey"), {"a": GREY}, (1, 3)),
    "pix2pix RGB in grey to RGB": (PIX2PIX, {"G": unet(1, 3), "D": pairs(4)}, (), {}, (3, 3)),
    "cyclegan of 4": (
        CYCLEGAN, {"G_A": resnet(4, 4), "G_B": resnet(4, 4), "D_A": judge(4), "D_B": judge(4)}, (),
        {"a": several(4), "b": several(4)}, (4, 4),
    ),
    "cyclegan grey and RGB": (
        CYCLEGAN, {"G_A": resnet(1, 3), "G_B": resnet(3, 1), "D_A": judge(3), "D_B": judge(1)}, (), {"a": GREY}, (1, 3),
    ),
    "cyclegan 2 to 4, one way": (CYCLEGAN, {"G_A": resnet(2, 4)}, (), {"a": several(2), "b": several(4)}, (2, 4)),
    "cyclegan grey to RGB, one way": (CYCLEGAN, {"G_A": resnet(1, 3)}, ("--domains", "grey"), {"a": GREY}, (1, 3)),
    "cyclegan RGB to grey, one way": (CYCLEGAN, {"G_A": resnet(3, 1)}, (), {"b": GREY}, (3, 1)),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "parts", "told", "domains", "counts"), FILES.values(), ids=FILES)
def test_files_of_any_channels_come_in_translate_and_go_out(forge, tmp_path, layout, parts, told, domains, counts):
    run, content = tmp_path / "run", {part: drawn(table, seed=k) for k, (part, table) in enumerate(parts.items())}
    for part, tensors in content.items():
        torch.save(tensors, tmp_path / f"latest_net_{part}.pth")
    files = [tmp_path / f"latest_net_{part}.pth" for part in content]
    code, _, err = forge("checkpoint", "import", *files, "--format", layout, "--run", run, *told)
    assert code == 0, err
    recipe = yaml.safe_load((run / "resolved.yaml").read_text())
    assert recipe.get("domains", {}) == domains
    for domain, said in domains.items():
        kind = "8-bit grey" if said == GREY else "values from 0 to 255"
        assert f"images of {domain} have {1 if said == GREY else said['channels']} channel" in err and kind in err
    assert ("--domains grey" in err) == ((counts, domains) == ((3, 3), {}))
    translator = load(run, catalog=CATALOG)
    y = translator.translate(torch.rand(1, counts[0], 128, 128) * 2 - 1)
    assert y.shape == (1, counts[1], 128, 128) and y.isfinite().all()
    code, _, err = forge("checkpoint", "export", run, "--format", layout, "--out", tmp_path / "out")
    assert code == 0, err
    for part, tensors in content.items():
        assert_same(tensors, torch.load(tmp_path / "out" / f"0_net_{part}.pth", weights_only=True))


UNIT = small(encoder="blocks=1", decoder="blocks=1", discriminator="scales=1 layers=2")
AUGMENTED = small(encoder="", decoder="", discriminator="", code_encoder="", code_discriminator="")
BICYCLEGAN = small(encoder="levels=7", decoder="levels=7", code_encoder="", discriminator="", vae_discriminator="")
OWN = {
    "munit": ("nvlabs-munit", TINY_MUNIT, (1, 2)),
    "unit": ("nvlabs-unit", UNIT, (4, 1)),
    "augmented": ("augmented-cyclegan", AUGMENTED, (2, 4)),
    "a code of one image": ("augmented-cyclegan", (*AUGMENTED, "networks.code_encoder.conditional=false"), (2, 1)),
    "bicyclegan": ("junyanz-bicyclegan", (*BICYCLEGAN, "networks.encoder.channels=~"), (2, 4)),
}


@pytest.mark.parametrize(("layout", "tiny", "counts"), OWN.values(), ids=OWN)
def test_what_is_exported_tells_its_channels(forge, tmp_path, layout, tiny, counts):
    domains = {name: GREY if count == 1 else several(count) for name, count in zip("ab", counts, strict=True)}
    said = [f"domains.{name}={json.dumps(domain)}" for name, domain in domains.items()]
    content = (made := Layout(layout, tiny)).written(made.tiny(*said))
    files = made.saved(content, tmp_path).values()
    code, _, err = forge("checkpoint", "import", *files, "--format", layout, "--run", tmp_path / "run")
    assert code == 0, err
    recipe = yaml.safe_load((tmp_path / "run" / "resolved.yaml").read_text())
    assert recipe["domains"] == domains
    code, _, err = forge("checkpoint", "export", tmp_path / "run", "--format", layout, "--out", tmp_path / "out")
    assert code == 0, err
    step = 1000 if layout.startswith("nvlabs") else 0  # their files' names tell it
    for part, tensors in content.items():
        file = tmp_path / "out" / made.reader.file.format(part=part, step=step)
        assert_same(tensors, torch.load(file, weights_only=True))


@pytest.mark.parametrize(("described", "says"), [
    ({"range": [-1024, 3071], "unit": "HU"}, "-1024..3071 HU"),
    ({"range": [0, 65535]}, "0..65535"),
    ({"range": [0, 255], "curve": "sqrt"}, "0..255"),
    ({"range": [0, 255], "convert": {"times": 2}}, "0..255"),
    ({"kind": "labels", "values": [0, 1]}, "labels"),
])  # fmt: skip
def test_values_that_the_other_program_does_not_know_are_not_written(described, says):
    spaces = {"a": ImageSpace(Domain.model_validate(described)), "b": RGB8}
    with pytest.raises(CheckpointError, match=rf"domains\.a: its images are {says}, which a checkpoint of X cannot"):
        refuse_other_values(spaces, ["a", "b"], "X")
    refuse_other_values({"a": ImageSpace(Domain.model_validate(several(4))), "b": RGB8}, ["a", "b"], "X")
