"""A translator as a program: the same translations at other sizes and batches, without i2i_forge."""

import json
import sys
from pathlib import Path

import pytest
import torch
import toy
from small_translators import of_pass, small
from torch import Tensor

from i2i_forge.engine.forward_pass import tensor
from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.translate.export import ABOUT, export

CODED = ["munit_synthetic", "bicyclegan_synthetic", "augmented_cyclegan_synthetic", "cyclegan_noise_synthetic"]
PLAIN = ["cyclegan_synthetic", "unit_synthetic", "pix2pix_synthetic"]


def namespaces(program: torch.export.ExportedProgram) -> set[str]:
    """Whose operations it runs: torch's own are "aten"."""
    operations = (node.target for node in program.graph.nodes if node.op == "call_function")
    return {target.namespace for target in operations if isinstance(target, torch._ops.OpOverload)}


@pytest.mark.parametrize("name", [*CODED, *PLAIN])
def test_every_shipped_method(name: str, tmp_path: Path) -> None:
    translator, file = small(name), tmp_path / "out/program.pt2"
    found = export(translator, file)
    assert found.difference <= 1e-4
    assert (found.recipe, found.step, found.route) == (name, 7, "ab")
    assert len(found.inputs) == (2 if name in CODED else 1)
    assert [f.name for f in file.parent.iterdir()] == ["program.pt2"]

    about = {ABOUT: ""}
    exported = torch.export.load(file, extra_files=about)
    assert namespaces(exported) == {"aten"}
    program = exported.module()
    assert json.loads(about[ABOUT])["stride"] == found.stride
    for count, height, width in ((1, 64, 64), (3, 6 * max(found.stride, 16), 5 * max(found.stride, 16))):
        x = torch.rand(count, 3, height, width) * 2 - 1
        codes = [torch.randn(count, found.code_dim)] if found.code_dim else []
        given = dict(zip(found.inputs[1:], codes, strict=True))
        torch.testing.assert_close(program(x, *codes), translator.translate(x, **given), rtol=0, atol=1e-4)


def test_it_holds_the_networks_that_it_runs_and_no_others_in_fp32_and_needs_no_i2i_forge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator, file = small("cyclegan_synthetic", "precision=bf16"), tmp_path / "program.pt2"
    assert export(translator, file, "ba").difference <= 1e-4
    assert translator.trainer.precision == "bf16"
    networks = translator.trainer.networks
    used = [networks["encoder"]["b"], networks["decoder"]["a"]]
    for name in [name for name in sys.modules if name.startswith("i2i_forge")]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an error
    program = torch.export.load(file)
    held = program.state_dict
    assert sum(v.numel() for v in held.values()) == sum(v.numel() for n in used for v in n.state_dict().values())
    assert program.module()(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64, 96)


class SteeredForward(toy.ToyForward):
    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content, self.code) * (2.0 if self.source.mean().item() > 0 else 1.0)


class SizedForward(toy.ToyForward):
    counted = 0.0

    @tensor
    def translation(self) -> Tensor:
        SizedForward.counted += 0.1  # a program holds what it was when it was made
        return self.dst.decoder(self.content, self.code) * SizedForward.counted


def test_what_cannot_be_exported_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the translation cannot be exported") as caught:
        export(of_pass(SteeredForward), tmp_path / "program.pt2")
    assert "--debug" in caught.value.fix
    with pytest.raises(ForgeError, match="the exported program differs by"):
        export(of_pass(SizedForward), tmp_path / "program.pt2")
    with pytest.raises(UsageError, match="there is no route 'ac'"):
        export(of_pass(toy.ToyForward), tmp_path / "program.pt2", "ac")
    assert list(tmp_path.iterdir()) == []
