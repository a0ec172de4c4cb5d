"""The exact-resume matrix: 8 recipes x 6 stops x 3 worker settings x 2 numbers of ranks, 288 cells, bit for bit.

In the normal suite are the cells on which most can go wrong: a stop within the step that crosses the end of an epoch,
with the number of workers changed. The others are slow: `pytest -m slow tests/run/test_resume_matrix.py`.

And the checkpoint's mutation score: each thing that it holds is forgotten in turn, as if it had not been saved, and
left out; the resumed run must differ, or be refused.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import RECIPES, STEPS, STOPS, WORKERS, resumed, small_recipe, straight, train

from i2i_forge.errors import CheckpointError, DivergedError
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
    """What a checkpoint consists of: networks and states by domain or route; an optimizer's quantities by role, and all
    of them."""
    yield from (name for name, module in trainer.modules() if module.state_dict())
    quantities = {(role, quantity) for role, _, quantity in (name.split("|") for name in found.optimizers)}
    yield from sorted({f"{role}|{quantity}" for role, quantity in quantities} | {f"{role}|" for role, _ in quantities})


def belongs(name, item):
    """Whether a tensor is part of an item."""
    role, bar, quantity = item.partition("|")
    return name.startswith(f"{role}|") and name.endswith(quantity) if bar else name.startswith(f"{item}.")


def without(found, item, fresh):
    """The checkpoint that lacks an item, and the one that has it as at the beginning, an optimizer's as zeros."""
    lost = {name for name in (*found.model, *found.optimizers) if belongs(name, item)}
    model, optimizers = ({n: v for n, v in part.items() if n not in lost} for part in (found.model, found.optimizers))
    yield replace(found, model=model, optimizers=optimizers)
    begun = {name: fresh[name] for name in lost if name in found.model}
    zeros = {name: found.optimizers[name] * 0 for name in lost if name in found.optimizers}
    yield replace(found, model=model | begun, optimizers=optimizers | zeros)


QUICK_MUTATIONS = ("munit_synthetic", "cyclegan_synthetic")


@pytest.mark.parametrize(
    "name", [n if n in QUICK_MUTATIONS else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
)
def test_forgetting_anything_changes_the_result(quiet, tmp_path, name):
    """The mutation score is 1: every item's loss is seen in the weights of the next steps."""
    train(quiet, tmp_path, small_recipe(quiet, name, *RECIPES[name], f"steps={STOP}"))
    folder = RunFolder.open(tmp_path)
    player = Player(folder, quiet.catalog)
    fresh = {name: value.clone() for name, value in player.trainer.state_dict().items()}
    found = checkpoint.read(checkpoint.folder_of(folder.checkpoints, STOP))

    def weights(given):
        """Of all networks, after each further step."""
        given = replace(given, optimizers={name: value.clone() for name, value in given.optimizers.items()})
        checkpoint.restore(given, player.trainer)
        for step in range(STOP, STEPS + 1):
            player.take_steps(step, step + 1)
            yield [value.clone() for value in player.trainer.parameters().values()]

    def noticed(given):
        try:
            return any(not all(map(torch.equal, *both)) for both in zip(weights(given), truth, strict=True))
        except (CheckpointError, DivergedError, KeyError):  # Adam itself misses a moment
            return True

    truth = list(weights(found))
    names = list(items(player.trainer, found))
    unnoticed = [item for item in names for given in without(found, item, fresh) if not noticed(given)]
    assert unnoticed == [], f"score {len(names) - len(unnoticed)} of {len(names)}"
    assert not noticed(found)  # after all of that
    covered = [n for n in (*found.model, *found.optimizers) if any(belongs(n, item) for item in names)]
    assert len(covered) == len(found.model) + len(found.optimizers)
