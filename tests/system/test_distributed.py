"""Two processes that train together compute what one computes on the whole batch."""

import math
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from forked import on_ranks
from torch import Tensor, nn

from i2i_forge.errors import DataError, DivergedError, ForgeError, UsageError
from i2i_forge.system import distributed
from i2i_forge.system.distributed.parameters import fingerprint
from i2i_forge.system.distributed.ranks import LostContactError, in_contact

RANKS = 2


def parameters(rank: int) -> list[nn.Parameter]:
    """Gradients that both have, that one has, that nobody has; one of them and the weight of another channels_last."""
    made = [nn.Parameter(torch.zeros(2, 3, 2, 2)) for _ in range(3)] + [nn.Parameter(torch.zeros(()))]
    made[1].data = made[1].data.contiguous(memory_format=torch.channels_last)
    made[0].grad = torch.arange(24.0).reshape(2, 3, 2, 2).mul(rank + 1).contiguous(memory_format=torch.channels_last)
    if rank == 1:
        made[1].grad = torch.ones(2, 3, 2, 2)
    made[3].grad = torch.tensor(float(rank))
    return made


def sick(rank: int) -> list[Any]:
    """What is said of a loss, and of a gradient, that is not finite on rank 1; and the gradient afterwards."""
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    said = [distributed.average_gradients([weight], torch.tensor(math.inf if rank else 1.0))]
    weight.grad = torch.tensor([1.0, math.nan if rank else 3.0])
    return [*said, distributed.average_gradients([weight], torch.ones(())), weight.grad]


def failing(rank: int) -> list[Any]:
    """What each rank raises when the second one fails, and when both do."""
    caught: list[Any] = []
    for failing_ranks in ([1], [0, 1]):
        try:
            with distributed.together():
                if rank in failing_ranks:
                    raise DataError(f"no image on rank {rank}", fix="add one")
                distributed.roll_call()
        except ForgeError as error:
            caught.append((type(error).__name__, error.message, error.exit_code))
    return caught


def work(rank: int, folder: Path) -> None:
    found: dict[str, Any] = {"rank": (distributed.rank(), distributed.world_size())}

    mine = parameters(rank)
    found["sick"] = distributed.average_gradients(mine, torch.ones(()))
    found["gradients"] = [p.grad for p in mine]
    found["layouts"] = [p.grad is None or p.grad.stride() == p.stride() for p in mine]
    unused = [nn.Parameter(torch.zeros(2))]
    distributed.average_gradients(unused, torch.ones(()))
    found["unused"] = unused[0].grad
    found["not finite"] = sick(rank)
    found["wishes"] = [astuple(distributed.roll_call(**wish)) for wish in ({"stop": 15 * rank}, {"save": rank == 1})]
    found["everyone"] = distributed.everyone({"rank": rank})

    distributed.check_in_step({"x": torch.ones(3), "y": torch.full((2,), 0.1)}, 5)
    try:
        distributed.check_in_step({"x": torch.ones(3), "y": torch.full((2,), 0.1 + 1e-6 * rank)}, 7)
    except ForgeError as error:
        found["drift"] = str(error)
    found["failed"] = failing(rank)

    catalog = toy.catalog()
    catalog.losses.add("odd", lambda x: x.mean() * (float("nan") if distributed.rank() == 1 else 1.0))
    diverging = toy.build(toy.only("1 * odd(content)"), of=catalog)
    before = toy.weights(diverging)
    try:
        diverging.step(toy.images(), 0)
    except DivergedError as error:
        found["diverged"] = (str(error), toy.changed(diverging, before))

    torch.save(found, folder / f"found{rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    on_ranks(work, RANKS, folder)
    return [torch.load(folder / f"found{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("error", [torch.AcceleratorError, torch.OutOfMemoryError])
def test_an_error_of_ones_own_device_is_not_blamed_on_another_rank(error: type[Exception]) -> None:
    with pytest.raises(error, match="an illegal memory access"), in_contact():
        raise error("CUDA error: an illegal memory access was encountered")
    with pytest.raises(LostContactError, match="another rank is gone"), in_contact():
        raise RuntimeError("Connection closed by peer")


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
        assert all(each["layouts"])  # fused optimizers read both in the order of memory
        assert each["unused"] is None


def test_without_ranks_nothing_happens() -> None:
    mine = parameters(1)
    gradients = [p.grad for p in mine]
    assert distributed.average_gradients(mine, torch.ones(())) == []
    assert all(p.grad is gradient for p, gradient in zip(mine, gradients, strict=True))
    distributed.check_in_step({"x": torch.ones(3)}, 0)
    assert distributed.everyone(3) == [3]
    assert distributed.roll_call(stop=2, save=True) == distributed.Wishes(2, 0, True)
    with distributed.joined("cpu", 1.0) as device:
        assert device == "cpu"
    with pytest.raises(ZeroDivisionError), distributed.together():
        raise ZeroDivisionError


def test_all_hear_which_rank_is_not_finite_and_keep_their_own_gradients(found: list[dict[str, Any]]) -> None:
    for rank, each in enumerate(found):
        assert each["sick"] == []
        loss, gradient, kept = each["not finite"]
        assert loss == gradient == [1]
        assert kept.isfinite().all() == (rank == 0)


def test_all_hear_what_one_wishes(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["wishes"] == [(15, 1, False), (0, 0, True)]  # the signal, who got it, whether to save
        assert each["everyone"] == [{"rank": 0}, {"rank": 1}]


def test_a_rank_that_fails_stops_the_others_and_one_reports(found: list[dict[str, Any]]) -> None:
    other = [("RankError", "rank 1 failed: no image on rank 1", 4), ("DataError", "no image on rank 0", 4)]
    assert found[0]["failed"] == other
    assert found[1]["failed"] == [("DataError", "no image on rank 1", 4),
                                  ("RankError", "rank 0 failed: no image on rank 0", 4)]  # fmt: skip


def test_a_drift_is_noticed_on_every_rank(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["drift"].startswith(
            "the ranks drifted apart: after step 7, y of rank 1 is not that of rank 0\nfix:"
        )


def changes() -> dict[str, Tensor]:
    """Tensors that are not the one they were made from."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(1000, generator=draws)
    one, swapped, opposite, nans = (x.clone() for _ in range(4))
    one[17] = one[17].view(torch.int32).bitwise_xor(1).view(torch.float32)  # the last bit
    swapped[[3, 8]] = swapped[[8, 3]]
    opposite[5], opposite[9] = 1.0, -1.0
    x[5], x[9], x[11], nans[11] = -1.0, 1.0, math.nan, math.inf  # the first two have the sum of `opposite`
    return {"x": x, "a bit": one, "swapped": swapped, "signs": opposite, "nan": nans, "zero": -0.0 * x}


def test_fingerprints_tell_tensors_apart_bit_for_bit() -> None:
    prints = {name: int(fingerprint(tensor)) for name, tensor in changes().items()}
    assert len(set(prints.values())) == len(prints)
    assert int(fingerprint(torch.zeros(4))) != int(fingerprint(-torch.zeros(4)))
    for dtype in (torch.float64, torch.bfloat16, torch.int64, torch.uint8):
        x = torch.arange(1, 25).to(dtype).view(2, 3, 4)
        assert int(fingerprint(x)) == int(fingerprint(x.clone())) != int(fingerprint(x.transpose(1, 2)))
    assert int(fingerprint(torch.empty(0))) == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({"WORLD_SIZE": "2"}, "environment variable RANK expected"),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "environment variable MASTER_ADDR expected"),
    ],
)
def test_a_launcher_that_sets_too_little(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message) as caught, distributed.joined("cpu", 1.0):
        raise AssertionError
    assert "torchrun" in caught.value.fix


def test_when_one_rank_diverges_no_rank_is_updated(found: list[dict[str, Any]]) -> None:
    for each in found:
        message, changed = each["diverged"]
        assert message.startswith("not finite at step 0: phase/term/ab = nan on rank 1; phase 'phase' was not updated")
        assert changed == set()


@pytest.mark.parametrize(
    ("device", "gpu"), [("auto", "cuda:3"), ("cuda", "cuda:3"), ("cuda:1", "cuda:1"), ("cpu", None)]
)
def test_a_rank_works_on_its_own_gpu_alone(monkeypatch, device, gpu):
    chosen = []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for variable in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UsageError, match="cannot join the others"), distributed.joined(device, 1.0):
        pass
    assert chosen == ([gpu] if gpu else [])
