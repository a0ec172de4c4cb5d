"""A step taken again is the step, and a watched one tells where something is not finite."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from small_runs import small_recipe

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError, UsageError
from i2i_forge.run import checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.replay import Player, logged, verify, watched_step
from i2i_forge.run.streams import build_streams

LOSS = "generator/image/ab"


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A run of five steps with checkpoints of steps 2 and 4: its folder and its digest."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, tiny.train(folder, "steps=5", "run.checkpoint_every=2", "run.checkpoint_minutes=60")


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run that a test may change."""
    shutil.copytree(trained[0], tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


def judged(tiny, folder):
    return verify(folder, lambda: Player(folder, tiny.host.catalog))


def relog(folder, change):
    """Change every line of the log."""
    entries = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    folder.metrics.write_text("".join(json.dumps(change(entry)) + "\n" for entry in entries))


def elsewhere(folder):
    """As if the run had been trained on another machine."""
    file = folder.path / "env.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hardware": "Another GPU"}))


# ---- steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "begun"), [(1, 0), (2, 2), (3, 2), (5, 5)])
def test_any_step_can_be_gone_to(tiny, trained, step, begun):
    folder = RunFolder.open(trained[0])
    player = Player(folder, tiny.host.catalog)
    assert player.go_to(step, pytest.fail) == begun
    if step < 5:
        assert player.take_steps(step, step + 1) == dict(logged(folder))[step + 1]
    else:
        assert checkpoint.digest(player.trainer) == trained[1]


def test_a_step_beyond_the_end_is_refused(tiny, trained):
    with pytest.raises(UsageError, match="beyond the run's 5"):
        Player(RunFolder.open(trained[0]), tiny.host.catalog).go_to(10**30, pytest.fail)


def test_a_damaged_checkpoint_on_the_way_is_passed_over(tiny, trained, copy):
    (copy.checkpoints / "step-00000004/state.json").unlink()
    said = []
    player = Player(copy, tiny.host.catalog)
    assert player.go_to(4, said.append) == 2
    assert "step-00000004 is damaged" in said[0]
    player.take_steps(4, 5)
    assert checkpoint.digest(player.trainer) == trained[1]


RECIPES = ("munit_synthetic", "cyclegan_noise_synthetic", "bicyclegan_synthetic", "augmented_cyclegan_synthetic")


@pytest.mark.parametrize("name", RECIPES)
def test_a_watched_step_is_the_step(tiny, name):
    """Reused tensors, dropout, an image pool, several streams: watching changes not a bit."""
    recipe = small_recipe(tiny.host, name)
    streams, _ = build_streams(recipe, tiny.host.catalog)
    one, other = (build_trainer(recipe, tiny.host.catalog) for _ in range(2))
    for step in range(2):
        batch = {**streams["main"].batch(step), **{n: s.batch(step) for n, s in streams.items() if n != "main"}}
        seen = watched_step(one, batch, step)
        assert seen.losses == other.step(batch, step)
        assert checkpoint.digest(one) == checkpoint.digest(other)
        assert (seen.problem, seen.tensor, seen.layer, seen.gradient, seen.where) == ("", "", "", "", "")
        trained = {name for phase in one.phases for role in phase.trains for name in one.networks[role]}
        assert len({n for norms in seen.gradients.values() for n in norms}) >= len(trained)
        assert all(math.isfinite(norm) and norm >= 0 for norms in seen.gradients.values() for norm in norms.values())


# ---- hunting -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tiny):
    """A trainer and a batch."""
    noise = torch.Generator().manual_seed(1)
    return tiny.trainer(), {d: torch.randn(1, 3, 64, 64, generator=noise).clamp(-1, 1) for d in "ab"}


def spoil(trainer, network, index):
    """Make one weight of a network NaN; returns the layer it belongs to."""
    name, parameter = list(dict(trainer.modules())[network].named_parameters())[index]
    with torch.no_grad():
        parameter.view(-1)[0] = float("nan")
    return f"{network}.{name.rpartition('.')[0]}"


def test_a_weight_is_found(fresh):
    trainer, batch = fresh
    layer = spoil(trainer, "content_encoder.b", 2)
    seen = watched_step(trainer, batch, 0)
    assert seen.layer == layer
    assert seen.tensor.endswith("/content/ba") or seen.tensor.endswith("/target_content/ab"), seen.tensor
    assert f"the output of {layer}" in seen.where
    assert "not finite at step 0" in seen.problem
    assert any(math.isnan(loss) for loss in seen.losses.values())


def test_a_weight_of_a_discriminator_spoils_no_translation(fresh):
    trainer, batch = fresh
    layer = spoil(trainer, "discriminator.a", 0)
    seen = watched_step(trainer, batch, 0)
    assert seen.layer == layer
    assert seen.gradients.keys() <= {"discriminator"}


def test_an_image_is_found_and_no_network_blamed(fresh):
    trainer, batch = fresh
    batch["a"][0, 0, 3, 3] = float("inf")
    seen = watched_step(trainer, batch, 0)
    assert seen.tensor.split("/")[1:] in (["source", "ab"], ["target", "ba"])
    assert seen.layer == "" and "no network made it" in seen.where


def with_loss(trainer, loss):
    """The trainer with another loss of the term `image`."""
    phases = [
        replace(phase, terms=tuple(replace(t, loss=loss) if t.name == "image" else t for t in phase.terms))
        for phase in trainer.phases
    ]
    return trainer.alike(phases=phases)


def test_a_loss_is_found(fresh):
    trainer, batch = fresh
    seen = watched_step(with_loss(trainer, lambda one, other: (one - other).sum() / 0), batch, 0)
    assert (seen.tensor, seen.layer) == ("", "")
    assert seen.where == f"every tensor is finite, the loss {LOSS} is not"


def test_a_gradient_is_found(fresh):
    """The derivative of the root at 0."""
    trainer, batch = fresh
    seen = watched_step(with_loss(trainer, lambda one, other: (one - one).abs().sum().sqrt()), batch, 0)
    assert all(math.isfinite(loss) for loss in seen.losses.values())
    assert seen.where == f"every loss is finite, the gradient of {seen.gradient} is not"
    assert not seen.gradient.startswith("discriminator")
    assert math.isnan(seen.gradients["generator"]["decoder.a"]) or math.isnan(seen.gradients["generator"]["decoder.b"])


# ---- the verdict ---------------------------------------------------------------------------------------------------


def test_an_honest_run_is_trusted(tiny, trained):
    verdict = judged(tiny, RunFolder.open(trained[0]))
    assert verdict.trusted and not verdict.damaged
    assert verdict.replayed.begun, verdict.replayed.step == (4, 5)
    assert (verdict.replayed.difference, verdict.replayed.changed, verdict.replayed.terms) == (0, "", 10)


def test_the_last_bit_of_a_loss_counts_here_and_not_elsewhere(tiny, copy):
    relog(copy, lambda entry: {**entry, LOSS: math.nextafter(entry[LOSS], 9)})
    verdict = judged(tiny, copy)
    assert not verdict.trusted
    assert 0 < verdict.replayed.difference < 1e-12 and verdict.replayed.worst == LOSS
    elsewhere(copy)
    verdict = judged(tiny, copy)
    assert verdict.trusted and "Another GPU there" in verdict.replayed.changed
    relog(copy, lambda entry: {**entry, LOSS: 1.02 * entry[LOSS]})
    assert not judged(tiny, copy).trusted


def test_other_packages_are_another_environment(tiny, copy):
    file = copy.path / "env.json"
    environment = json.loads(file.read_text())
    environment["packages"]["torch"] = "1.0"
    file.write_text(json.dumps(environment))
    assert "torch 1.0 there" in judged(tiny, copy).replayed.changed
    file.write_text("{}")
    assert judged(tiny, copy).replayed.changed == "env.json cannot be read"


def test_a_loss_that_is_not_in_the_log_counts(tiny, copy):
    relog(copy, lambda entry: {name: value for name, value in entry.items() if name != LOSS})
    elsewhere(copy)
    verdict = judged(tiny, copy)
    assert not verdict.trusted and verdict.replayed.worst == LOSS


def test_weights_that_were_exchanged_are_noticed(tiny, copy, tmp_path):
    """Checkpoint 4 holds other weights, with a manifest that fits."""
    player = Player(copy, tiny.host.catalog)
    player.go_to(4, pytest.fail)
    with torch.no_grad():
        next(player.trainer.networks["decoder"]["a"].parameters()).mul_(1.001)
    checkpoint.save(copy.checkpoints, 4, player.trainer, {"images": 8}, keep=9)
    assert not judged(tiny, copy).trusted


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "no logged step follows"),
        ('{"step": 2}\n{"ste', "no logged step follows"),
        ('[]\n{"step": "x"}\n{"step": 500}\n', "the next logged step is 495 steps after a checkpoint"),
    ],
)
def test_without_a_logged_step_nothing_is_replayed(tiny, copy, log, words):
    copy.metrics.write_text(log)
    verdict = judged(tiny, copy)
    assert verdict.trusted and verdict.replayed is None
    assert words in verdict.not_replayed


def test_the_log_of_several_processes_needs_as_many(tiny, copy):
    player = Player(copy, tiny.host.catalog)
    player.go_to(4, pytest.fail)
    checkpoint.save(copy.checkpoints, 4, player.trainer, {"ranks": 2}, keep=9)
    verdict = judged(tiny, copy)
    assert verdict.replayed is None and "it was trained by 2 processes, this is 1" in verdict.not_replayed
    with pytest.raises(CheckpointError, match="2 processes") as caught:
        Player(copy, tiny.host.catalog).go_to(4, pytest.fail)
    assert "torchrun --nproc-per-node 2" in caught.value.fix
