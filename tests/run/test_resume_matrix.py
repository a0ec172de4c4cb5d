"""The exact-resume matrix: 8 recipes x 6 stops x 3 worker settings x 2 numbers of ranks, 288 cells, bit for bit.

In the normal suite are the cells on which most can go wrong: a stop within the step that crosses the end of an epoch,
with the number of workers changed. The others are slow: `pytest -m slow tests/run/test_resume_matrix.py`.

And the checkpoint's mutation score: each thing that it holds is forgotten in turn, as if it had not been saved, and the
resumed run must differ. Of MUNIT's items, dropping and zeroing in the files are tried too (test_resume.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import RECIPES, STEPS, STOPS, WORKERS, resumed, small_recipe, straight, train

from i2i_forge.errors import DivergedError
from i2i_forge.run import checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.replay import Player

QUICK = {("munit_synthetic", 3, (2, 1)), ("cyclegan_synthetic", 3, (2, 1)), ("augmented_cyclegan_synthetic", 3, (2, 1))}
QUICK |= {(name, 3, (0, 0)) for name in ("unit_synthetic", "pix2pix_synthetic", "bicyclegan_synthetic")}


@pytest.fixture(scope="module")
def digests(quiet, tmp_path_factory):
    """Recipe -> digest of the run without a stop, each trained once."""
    known = {}

    def digest(name):
        if name not in known:
            known[name] = straight(quiet, name, tmp_path_factory.mktemp("straight"))
        return known[name]

    return digest


def cells():
    """Recipe, stop and workers before and after it."""
    for name in RECIPES:
        for stop in STOPS.values():
            for workers in WORKERS:
                quick = (name, stop, workers) in QUICK
                yield pytest.param(name, stop, workers, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("name", "stop", "workers"), list(cells()))
def test_resumed_on_one_rank(quiet, digests, tmp_path, name, stop, workers):
    assert resumed(quiet, name, tmp_path, stop, workers) == digests(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_resumed_on_two_ranks(tmp_path, name):
    script = Path(__file__).with_name("resume_on_ranks.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(script), str(tmp_path), name]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(script.parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=env)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.endswith("18 cells on 2 ranks, different: []"), ended.stdout[-1000:]


def test_the_size_of_the_matrix():
    assert len(RECIPES) * len(STOPS) * len(WORKERS) * 2 == 288


# ---- what a checkpoint must hold -------------------------------------------------------------------------------------

STOP = 4


def items(trainer, found):
    """What a checkpoint consists of: networks and states by domain or route, an optimizer's quantities by role."""
    yield from (name for name, module in trainer.modules() if module.state_dict())
    yield from sorted({f"{role}|{quantity}" for role, _, quantity in (name.split("|") for name in found.optimizers)})


def without(found, item, fresh):
    """The checkpoint as if one item had not been saved: its module is as at the beginning, its quantity 0."""
    role, bar, quantity = item.partition("|")

    def begun(name, value):
        return fresh[name] if not bar and name.startswith(f"{item}.") else value

    def zero(name, value):
        return value * 0 if bar and name.startswith(f"{role}|") and name.endswith(f"|{quantity}") else value

    return (
        {name: begun(name, value) for name, value in found.model.items()},
        {name: zero(name, value) for name, value in found.optimizers.items()},
    )


QUICK_MUTATIONS = ("cyclegan_synthetic",)


@pytest.mark.parametrize(
    "name", [n if n in QUICK_MUTATIONS else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
)
def test_forgetting_anything_changes_the_result(quiet, tmp_path, name):
    """The mutation score is 1: every item's loss is noticed."""
    train(quiet, tmp_path, small_recipe(quiet, name, *RECIPES[name], f"steps={STOP}"))
    folder = RunFolder.open(tmp_path)
    begun = Player(folder, quiet.catalog).trainer
    fresh = begun.state_dict()
    found = checkpoint.read(checkpoint.folder_of(folder.checkpoints, STOP))

    def result(model, optimizers):
        player = Player(folder, quiet.catalog)
        player.trainer.load_state_dict(model)
        player.trainer.load_optimizer_state({name: value.clone() for name, value in optimizers.items()})
        try:
            player.take_steps(STOP, STEPS + 1)
        except DivergedError:
            return "diverged"
        return checkpoint.digest(player.trainer)

    truth = result(found.model, found.optimizers)
    assert result(found.model, found.optimizers) == truth
    names = list(items(begun, found))
    unnoticed = [item for item in names if result(*without(found, item, fresh)) == truth]
    assert unnoticed == [], f"score {len(names) - len(unnoticed)} of {len(names)}"
    covered = [n for n in (*found.model, *found.optimizers) if any(belongs(n, item) for item in names)]
    assert len(covered) == len(found.model) + len(found.optimizers)


def belongs(name, item):
    """Whether a tensor is part of an item."""
    role, bar, quantity = item.partition("|")
    return name.startswith(f"{role}|") and name.endswith(f"|{quantity}") if bar else name.startswith(f"{item}.")
