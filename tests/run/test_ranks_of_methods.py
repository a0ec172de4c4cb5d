"""Two and four ranks take the steps of one process, method by method, also after their number changed."""

import pytest
import torch
from forked import on_ranks
from ranks_of_methods import BATCH_NORM, CASES, STEPS, steps, take, work

from i2i_forge.run import checkpoint

PATHS = {"2, then 4": (2, 4), "4, then 2": (4, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All cases along both paths: CASE/PATH/0 after the first ranks, CASE/PATH/1 after the second."""
    root = tmp_path_factory.mktemp("ranks")
    place = {(case, path): root / case / path for case in CASES for path in PATHS}
    for ranks in (2, 4, 2):
        jobs = []
        for (case, path), at in place.items():
            half = int((at / "0").exists())
            if not (at / "1").exists() and PATHS[path][half] == ranks:
                jobs.append((case, *STEPS[half], at / "0" if half else None, at / str(half)))
        on_ranks(work, ranks, ranks, jobs)
    return root


@pytest.mark.parametrize("case", CASES)
def test_ranks_take_the_steps_of_one_process(folder, case):
    """Batch statistics and dropout of ranks are those of parts of a batch, which one process takes as well."""
    for paths in [[path] for path in PATHS] if case in BATCH_NORM else [list(PATHS)]:
        trainer, _ = steps(case, 0, 0)
        for half, (first, last) in enumerate(STEPS):
            trainer = trainer.alike(parts=PATHS[paths[0]][half] if case in BATCH_NORM else 1)
            reports = take(trainer, case, first, last)
            for path in paths:
                equal(folder / case / path / str(half), trainer, reports, PATHS[path][half])


def equal(folder, trainer, reports, ranks):
    """The losses and the checkpoint of ranks, averages and optimizers too, are those of a trainer."""
    theirs = torch.load(folder / "reports.pt")
    assert len(theirs) == ranks
    for step, report in enumerate(reports):
        assert theirs[0][step] != theirs[1][step]  # each has images of its own
        for name, loss in report.items():
            assert sum(each[step][name] for each in theirs) / ranks == pytest.approx(loss, rel=1e-7, abs=1e-12), name
    found, memory = checkpoint.newest(folder, pytest.fail), trainer.optimizer_state()
    assert set(found.optimizers) == set(memory) and set(found.ema) == set(trainer.ema.values)
    compared = 0
    for network, module in trainer.modules():
        role, _, domain = network.partition(".")
        for name, value in module.named_parameters():
            at = f"{role}|{domain or 'shared'}.{name}|"
            # a bias before a norm has a gradient of 0 but for rounding, and Adam makes full steps of that
            real = memory.get(f"{at}exp_avg_sq", torch.zeros_like(value)) > 1e-24
            compared += int(real.sum())
            ours = {f"{network}.{name}": value} | {key: memory[key] for key in memory if key.startswith(at)}
            for key, tensor in ours.items():
                other = found.optimizers[key] if "|" in key else found.model[key]
                mask = real if tensor.shape == real.shape else ...
                assert torch.allclose(other[mask], tensor[mask], rtol=1e-7, atol=1e-9), key
            if f"{network}.{name}" in found.ema:
                mine = trainer.ema.values[f"{network}.{name}"]
                assert torch.allclose(found.ema[f"{network}.{name}"][real], mine[real], rtol=1e-7, atol=1e-9), name
    assert compared > 0.5 * sum(p.numel() for p in trainer.parameters().values())
