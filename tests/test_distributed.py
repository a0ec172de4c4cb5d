"""Two processes that train together compute what one computes on the whole batch."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import toy
from torch import Tensor, nn

import i2i_forge
from i2i_forge import distributed
from i2i_forge.errors import DivergedError, ForgeError

TINY = [
    "networks.content_encoder.width=4", "networks.content_encoder.blocks=1", "networks.style_encoder.width=4",
    "networks.decoder.width=4", "networks.decoder.blocks=1", "networks.decoder.mlp_dim=8",
    "networks.discriminator.width=4", "optimizers.default.clip=0.5",
    "phases.generator.minimize.cycle=10 * l1(cycled, source)",
]  # fmt: skip
RANKS = 2


def munit() -> Any:
    return i2i_forge.build_trainer(i2i_forge.load_recipe("munit_edge2shoes", set=TINY), dtype=torch.float64)


def parameters(rank: int) -> list[nn.Parameter]:
    """Gradients that both have, that one has, that nobody has; one of them channels_last."""
    made = [nn.Parameter(torch.zeros(2, 3, 2, 2)) for _ in range(3)] + [nn.Parameter(torch.zeros(()))]
    made[0].grad = torch.arange(24.0).reshape(2, 3, 2, 2).mul(rank + 1).contiguous(memory_format=torch.channels_last)
    if rank == 1:
        made[1].grad = torch.ones(2, 3, 2, 2)
    made[3].grad = torch.tensor(float(rank))
    return made


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS,
        timeout=datetime.timedelta(seconds=60),
    )  # fmt: skip
    found: dict[str, Any] = {"rank": (distributed.rank(), distributed.world_size())}

    mine = parameters(rank)
    distributed.average_gradients(mine)
    found["gradients"] = [p.grad for p in mine]
    unused = [nn.Parameter(torch.zeros(2))]
    distributed.average_gradients(unused)
    found["unused"] = unused[0].grad

    distributed.check_in_step([torch.ones(3), torch.full((2,), 0.1)], 5)
    try:
        distributed.check_in_step([torch.ones(3), torch.full((2,), 0.1 + 1e-6 * rank)], 7)
    except ForgeError as error:
        found["drift"] = str(error)

    small = toy.build(toy.PLAYERS, optimizers=toy.ADAM)
    found["toy_report"] = small.step({k: v[rank : rank + 1] for k, v in toy.images().items()}, 0)
    found["toy_state"] = small.state_dict()

    catalog = toy.catalog()
    catalog.losses.add("odd", lambda x: x.mean() * (float("nan") if distributed.rank() == 1 else 1.0))
    diverging = toy.build(toy.only("1 * odd(content)"), of=catalog)
    before = toy.weights(diverging)
    try:
        diverging.step(toy.images(), 0)
    except DivergedError as error:
        found["diverged"] = (str(error), toy.changed(diverging, before))

    trainer = munit()
    batch = toy.images(RANKS, size=64)
    reports = [trainer.step({k: v[rank : rank + 1] for k, v in batch.items()}, step) for step in range(2)]
    found |= {"reports": reports, "state": trainer.state_dict(), "optimizers": trainer.optimizer_state()}
    torch.save(found, Path(folder) / f"found{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(work, args=(str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"found{rank}.pt") for rank in range(RANKS)]


def test_ranks_know_each_other(found: list[dict[str, Any]]) -> None:
    assert [each["rank"] for each in found] == [(0, 2), (1, 2)]
    assert (distributed.rank(), distributed.world_size()) == (0, 1)


def test_gradients_are_averaged_and_a_missing_one_counts_as_zero(found: list[dict[str, Any]]) -> None:
    for each in found:
        both, one, nobody, scalar = each["gradients"]
        assert torch.equal(both, 1.5 * torch.arange(24.0).reshape(2, 3, 2, 2))
        assert torch.equal(one, torch.full((2, 3, 2, 2), 0.5))
        assert nobody is None
        assert scalar == 0.5
        assert each["unused"] is None


def test_without_ranks_gradients_are_left_alone() -> None:
    mine = parameters(1)
    gradients = [p.grad for p in mine]
    distributed.average_gradients(mine)
    assert all(p.grad is gradient for p, gradient in zip(mine, gradients, strict=True))
    distributed.check_in_step([torch.ones(3)], 0)


def test_a_drift_is_noticed_on_every_rank(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["drift"].startswith("the ranks' parameters drifted apart at step 7\nfix: ")


def same(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1.0, theirs.abs().max().item()))


def test_two_munit_steps_on_two_ranks_are_those_of_one_process(found: list[dict[str, Any]]) -> None:
    trainer, batch = munit(), toy.images(RANKS, size=64)
    reports = [trainer.step(batch, step) for step in range(2)]
    one, other = found
    for step, report in enumerate(reports):
        for name, loss in report.items():
            mean = (one["reports"][step][name] + other["reports"][step][name]) / 2
            assert mean == pytest.approx(loss, rel=1e-9), name
            assert one["reports"][step][name] != other["reports"][step][name]
    for part, whole in (("state", trainer.state_dict()), ("optimizers", trainer.optimizer_state())):
        assert one[part].keys() == whole.keys()
        for name, value in whole.items():
            assert torch.equal(one[part][name], other[part][name]), name
            # A bias before an instance norm has the gradient 0 but for rounding, and Adam makes full steps of that.
            if not (name.endswith("conv.bias") and (name.startswith("content_encoder") or ".blocks." in name)):
                assert same(one[part][name], value, 1e-9), name


def test_the_toys_losses_average_too(found: list[dict[str, Any]]) -> None:
    trainer = toy.build(toy.PLAYERS, optimizers=toy.ADAM)
    report = trainer.step(toy.images(), 0)
    for name, loss in report.items():
        assert sum(each["toy_report"][name] for each in found) / 2 == pytest.approx(loss, rel=1e-4)
    for name, value in trainer.state_dict().items():
        assert torch.equal(found[0]["toy_state"][name], found[1]["toy_state"][name])
        assert torch.allclose(found[0]["toy_state"][name], value, atol=1e-5), name


def test_when_one_rank_diverges_no_rank_is_updated(found: list[dict[str, Any]]) -> None:
    for each in found:
        message, changed = each["diverged"]
        assert "not finite at step 0" in message
        assert changed == set()
    assert "phase/term/ab = nan" in found[1]["diverged"][0]
    assert "the gradient of encoder.a" in found[0]["diverged"][0]
