"""Averages of weights: what they are, who uses them, and that training does not."""

import pytest
import torch
import toy
from torch import nn

import i2i_forge
from i2i_forge.engine.ema import Ema
from i2i_forge.errors import CheckpointError, RecipeError
from i2i_forge.run import checkpoint

EMA = {"roles": ["decoder"], "half_life": 4.0, "rampup": 0.5}


def averaged(*values, images, **options):
    """The average after a weight took these values."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    ema = Ema({"w": weight}, images=images, **options)
    for step, value in enumerate(values):
        weight.data.fill_(value)
        ema.update(step)
    return float(ema.values["w"])


def test_what_was_averaged_counts_half_after_a_half_life():
    assert averaged(1.0, 1.0, images=5, half_life=10, rampup=1e9) == pytest.approx(0.5)


def test_the_batch_size_does_not_matter():
    one = averaged(*[1.0] * 12, images=1, half_life=7, rampup=1e9)
    assert averaged(*[1.0] * 3, images=4, half_life=7, rampup=1e9) == pytest.approx(one)


def test_at_first_the_half_life_is_a_part_of_the_images_seen():
    # 10 images seen: half-life 1, so 2^-10 of the first value is left; then 20: half-life 2, weight 2^-5
    assert averaged(1.0, 3.0, images=10, half_life=1000, rampup=0.1) == pytest.approx(
        3 - (3 - (1 - 2.0**-10)) * 2.0**-5
    )


def test_inference_uses_them_and_training_does_not():
    plain, averaging = toy.build(toy.PLAYERS), toy.build(toy.PLAYERS, ema=EMA)
    for step in range(3):
        assert averaging.step(toy.images(), step) == plain.step(toy.images(), step)
    for name, value in plain.state_dict().items():
        assert torch.equal(averaging.state_dict()[name], value), name
    x = toy.images()["a"]
    found = averaging.translate(x)
    assert not torch.equal(found, plain.translate(x))
    plain.load_state_dict(plain.state_dict() | dict(averaging.ema.values))
    assert torch.equal(found, plain.translate(x))
    assert all(name.startswith("decoder.") for name in averaging.ema.values)


def test_an_error_in_inference_leaves_the_weights_as_they_were():
    trainer = toy.build(toy.PLAYERS, ema=EMA)
    trainer.step(toy.images(), 0)
    before = trainer.state_dict()
    with pytest.raises(ValueError, match="a mistake of the author"):
        trainer.infer("broken", toy.images(), "ab")
    for name, value in trainer.state_dict().items():
        assert torch.equal(value, before[name])


def saved(tmp_path, **changes):
    trainer = toy.build(toy.PLAYERS, **changes)
    for step in range(2):
        trainer.step(toy.images(), step)
    checkpoint.save(tmp_path, 2, trainer, {}, keep=1)
    return trainer, checkpoint.newest(tmp_path, pytest.fail)


def test_a_checkpoint_holds_them(tmp_path):
    trainer, found = saved(tmp_path, ema=EMA)
    again = toy.build(toy.PLAYERS, ema=EMA)
    checkpoint.restore(found, again)
    assert checkpoint.digest(again) == checkpoint.digest(trainer)
    for each in (trainer, again):
        each.step(toy.images(), 2)
    assert checkpoint.digest(again) == checkpoint.digest(trainer)
    again.ema.values["decoder.a.conv.bias"] += 1e-3
    assert checkpoint.digest(again) != checkpoint.digest(trainer)


def test_damage_to_them_is_noticed(tmp_path):
    _, found = saved(tmp_path, ema=EMA)
    file = found.folder / "ema.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CheckpointError, match=r"ema\.safetensors has the wrong SHA-256"):
        checkpoint.read(found.folder)


def test_without_them_in_the_checkpoint_they_begin_with_its_weights(tmp_path):
    trainer, found = saved(tmp_path)
    assert not found.ema
    again = toy.build(toy.PLAYERS, ema=EMA)
    checkpoint.restore(found, again)
    for name, value in again.ema.values.items():
        assert torch.equal(value, trainer.state_dict()[name])


def test_averages_of_other_roles_are_refused(tmp_path):
    _, found = saved(tmp_path, ema=EMA)
    with pytest.raises(CheckpointError, match="has averages of other weights") as caught:
        checkpoint.restore(found, toy.build(toy.PLAYERS, ema={**EMA, "roles": ["decoder", "encoder"]}))
    assert "ema.roles" in caught.value.fix


def test_a_role_that_is_not_there():
    with pytest.raises(RecipeError, match="there is no network 'decodr'"):
        i2i_forge.load_recipe("munit_synthetic", set=["ema={roles: [decodr]}"])
