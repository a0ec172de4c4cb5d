"""CUDA rehearsed on fake tensors: no two devices meet, and kernels, bytes and waits only fall."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from shrink import shrunk
from torch import nn

from i2i_forge.engine.build import build_trainer
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.study.bench_steps import images_of
from i2i_forge_benchmarks import gpu_session
from i2i_forge_benchmarks.rehearsal import pinned
from i2i_forge_benchmarks.rehearsal.backward import backward
from i2i_forge_benchmarks.rehearsal.driverless import rehearsing
from i2i_forge_benchmarks.rehearsal.recorder import Recorder
from i2i_forge_benchmarks.rehearsal.subjects import METRICS, SYNTHETIC, parts_of, updates_of_metrics

TABLE = Path(__file__).parents[2] / "benchmarks/results" / pinned.PINNED
needs_cuda_build = pytest.mark.skipif(torch.version.cuda is None, reason="this torch knows no CUDA")


@needs_cuda_build
@pytest.mark.parametrize("recipe", SYNTHETIC)
def test_a_recipe_stays_on_the_device_with_no_more_kernels_bytes_and_waits_than_before(recipe):
    found = parts_of(recipe, [])
    more = pinned.risen(TABLE.read_text(), recipe, found)  # nothing of another torch, whose operations are others
    command = f"python -m i2i_forge_benchmarks.rehearsal {recipe} --where"
    assert not more, f"{'; '.join(more)}: see `{command}`; `--out benchmarks/results` writes the table anew"
    assert found["step"].pinned[2] == found["step after loading"].pinned[2] == 0  # nothing waits within a step
    assert found["report"].pinned[2] == 1


@needs_cuda_build
def test_metrics_are_updated_on_the_device():
    found = updates_of_metrics()
    assert {"lpips-diversity", "ssim", "kid"} <= found.keys()
    assert not pinned.risen(TABLE.read_text(), METRICS, found)


@needs_cuda_build
def test_tensors_of_two_devices_are_noticed_and_waits_are_placed():
    with rehearsing() as (fake, _), fake, Recorder() as seen:
        x = torch.zeros(3, device="cuda")
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.zeros(3)
        assert float(x.sum()) == 0.5
        torch.zeros(4).to("cuda")
        torch.zeros(4).to("cuda", non_blocking=True)
    assert seen.waits == {"outside: one number": 1, "outside: 16 bytes to the device": 1}


def test_what_rises_is_told_and_what_falls_is_not():
    class Counted:
        def __init__(self, *numbers):
            self.pinned = numbers

    table = pinned.written({"one": {"step": Counted(10, 5, 0, 0)}})
    assert pinned.risen(table, "one", {"step": Counted(9, 5, 0, 0)}) == []
    assert pinned.risen(table, "one", {"step": Counted(11, 5, 1, 0)}) == [
        "one, step: 11 kernels, pinned are 10", "one, step: 1 waits, pinned are 0",
    ]  # fmt: skip
    assert pinned.risen(table, "another", {"step": Counted(1, 0, 0, 0)})


@pytest.mark.parametrize("recipe", ["munit_synthetic", "bicyclegan_synthetic"])
def test_the_backward_pass_is_that_of_torch(quiet, recipe, monkeypatch):
    small = read_recipe(recipe, set=shrunk(read_recipe(recipe), quiet.catalog, "unused"))
    trainers = [build_trainer(small, quiet.catalog) for _ in range(2)]
    torch.manual_seed(0)
    batch = images_of(small)
    theirs = trainers[0].step(batch, 0)
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: backward([self], [torch.ones_like(self)]))
    assert trainers[1].step(batch, 0) == pytest.approx(theirs, rel=1e-6)
    for name, value in trainers[0].state_dict().items():
        torch.testing.assert_close(trainers[1].state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_gradients_of_gradients_are_those_of_torch():
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Softplus(), nn.Conv2d(3, 1, 3))
    x = torch.rand(2, 2, 5, 5, requires_grad=True)
    out = network(x).square().sum()
    found = []
    for first in (
        torch.autograd.grad(out, x, create_graph=True), backward([out], [torch.ones(())], create_graph=True, wanted=[x])
    ):  # fmt: skip
        network.zero_grad()
        first[0].square().sum().backward(retain_graph=True)
        found.append([parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None])
    torch.testing.assert_close(found[0], found[1])


@needs_cuda_build
@pytest.mark.slow
def test_the_script_for_a_gpu_runs_through_on_a_processor():
    arguments = ["--device", "cpu", "--repeats", "2", "--steps", "1", "--recipe", "pix2pix_synthetic"]
    result = CliRunner().invoke(gpu_session.main, arguments)
    assert result.exit_code == 0 and "failed" not in result.output, result.output
    for size in ("reflect 3", "replicate 1", "replicate 3", "zero 3"):
        assert f"{size}, torch.bfloat16, torch.channels_last: ours 2 of 2 alike" in result.output
    assert "pix2pix_synthetic: deterministic: the same, not: the same" in result.output
    estimate = sum(parts_of("pix2pix_synthetic", [])["step"].kernels.values())
    assert f"pix2pix_synthetic: {estimate:,} estimated" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_script_for_a_gpu_says_that_it_needs_one():
    result = CliRunner().invoke(gpu_session.main, [])
    assert result.exit_code == 1 and result.output.startswith("Error: there is no cuda here; run it where ")
    assert result.output.count("\n") == 1


def test_a_part_that_fails_is_on_the_page_and_the_next_one_is_tried(monkeypatch):
    def broken(*_):
        yield "one line"
        raise RuntimeError("no kernel image\nand more")

    for part in ("steps_of", "pads", "runs", "kernels", "speed"):
        monkeypatch.setattr(gpu_session, part, broken)
    page = CliRunner().invoke(gpu_session.main, ["--device", "cpu"]).stdout
    assert page.count("- one line\n- **failed**: RuntimeError: no kernel image\n") == 5
    assert "- a product of 512 x 512 is off by" in page
