"""Two and four ranks take the steps of one process, method by method, also after their number changed."""

import pytest
import torch
from ranks_of_methods import BATCH_NORM, CASES, STEPS, on_ranks, steps, take

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
                source = at / "0" if half else None
                jobs.append((case, half * STEPS, (half + 1) * STEPS, source, at / str(half)))
        on_ranks(ranks, jobs)
    return root


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_ranks_take_the_steps_of_one_process(folder, case, path):
    """Batch statistics and dropout of ranks are those of parts of a batch, which one process takes as well."""
    trainer, _ = steps(case, 0, 0)
    for half, ranks in enumerate(PATHS[path]):
        trainer = trainer.alike(parts=ranks if case in BATCH_NORM else 1)
        reports = take(trainer, case, half * STEPS, (half + 1) * STEPS)
        equal(folder / case / path / str(half), trainer, reports, ranks)


def equal(folder, trainer, reports, ranks):
    """The checkpoint and the losses of ranks are those of a trainer."""
    theirs = torch.load(folder / "reports.pt")
    assert len(theirs) == ranks
    for step, report in enumerate(reports):
        for name, loss in report.items():
            assert sum(each[step][name] for each in theirs) / ranks == pytest.approx(loss, rel=1e-7, abs=1e-12), name
    found = checkpoint.newest(folder, pytest.fail)
    compared = 0
    for name, value in trainer.parameters().items():
        real = moved(trainer, name)
        compared += int(real.sum())
        for tensors in (found.model, found.ema):
            if name in tensors:
                assert close(
                    tensors[name][real], (value if tensors is found.model else trainer.ema.values[name])[real]
                ), name
    assert compared > 0.5 * sum(p.numel() for p in trainer.parameters().values())


def moved(trainer, name):
    """Where a parameter has a gradient: that of a bias before a norm is 0 but for rounding, and Adam makes full steps
    of that."""
    network = max((n for n, _ in trainer.modules() if name.startswith(f"{n}.")), key=len)
    role, _, domain = network.partition(".")
    memory = trainer.optimizer_state().get(f"{role}|{domain or 'shared'}.{name.removeprefix(network + '.')}|exp_avg_sq")
    return torch.zeros_like(trainer.parameters()[name], dtype=torch.bool) if memory is None else memory > 1e-24


def close(ours, theirs):
    return torch.allclose(ours, theirs, rtol=1e-7, atol=1e-9)
