"""A batch taken in parts, one after the other, gives the step of the whole batch."""

import pytest
import torch
import toy

import i2i_forge
from i2i_forge.engine.passes import split
from i2i_forge.errors import RecipeError, UsageError

REUSING = {"trains": ["critic"], "reuse": {"translation": "translator"}, "minimize": {"fake": "1 * size(fake_logits)"}}
PLAYERS = {
    "each its own": toy.PLAYERS,
    "owner first": {"translator": toy.PLAYERS["translator"], "critic": REUSING},
    "owner last": {"critic": REUSING, "translator": toy.PLAYERS["translator"]},
}


def built(phases, parts, **changes):
    return toy.build(phases, optimizers=toy.SGD, dtype=torch.float64, **changes).alike(parts=parts)


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("phases", PLAYERS.values(), ids=PLAYERS)
def test_losses_and_weights_are_those_of_the_whole_batch(phases, parts):
    whole, cut = built(phases, 1), built(phases, parts)
    for step in range(2):
        expected = whole.step(toy.images(4), step)
        assert cut.step(toy.images(4), step) == pytest.approx(expected, rel=1e-12)
    for name, value in whole.state_dict().items():
        assert torch.allclose(cut.state_dict()[name], value, rtol=1e-12, atol=1e-14), name


@pytest.mark.parametrize("phases", PLAYERS.values(), ids=PLAYERS)
def test_only_one_part_is_in_the_networks_and_nothing_waits_for_the_next(phases):
    trainer, sizes, waiting, made = built(phases, 4), set(), [], {}
    for _, network in trainer.modules():
        network.register_forward_hook(lambda network, arguments, output: sizes.add(len(arguments[0])))
    backward = trainer._backward

    def watched(phase, passes, step):
        others = [f for p in made.values() if p is not passes for of in p._passes.values() for f in of.values()]
        waiting.append(sum(len(forward._values) for forward in others))
        made[id(passes)] = passes
        return backward(phase, passes, step)

    trainer._backward = watched
    trainer.step(toy.images(4), 0)
    assert sizes == {1}
    taken = 2 * 3 if phases is PLAYERS["owner first"] else 0  # translations on two routes, of three other parts
    assert max(waiting) == taken


def test_what_is_given_is_cut_too():
    codes = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    given = {"critic": {"ab": {"code": codes}}}
    assert built(toy.PLAYERS, 2).step(toy.images(4), 0, given) == pytest.approx(
        built(toy.PLAYERS, 1).step(toy.images(4), 0, given)
    )


def test_statistics_are_those_of_one_pass_for_each_part():
    """A pass that a phase takes from before its owner's turn is not made again where that would count twice."""
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "batch_norm": True}}
    phases = {
        "critic": REUSING,
        "translator": {**toy.PLAYERS["translator"], "minimize": {"gan": "1 * size(fake_logits)"}},
    }
    trainer = built(phases, 2, networks=networks)
    trainer.step(toy.images(4), 0)
    assert trainer.networks["encoder"]["a"].norm.num_batches_tracked == 2


def test_a_part_that_is_not_finite_stops_the_step():
    images = toy.images(4)
    images["a"][3] = float("nan")
    trainer = built(toy.PLAYERS, 2)
    before = toy.weights(trainer)
    with pytest.raises(i2i_forge.errors.DivergedError):
        trainer.step(images, 0)
    assert toy.changed(trainer, before) == set()


def test_unequal_parts_are_refused():
    with pytest.raises(UsageError, match="3 images cannot be taken in 2 equal parts"):
        split({"a": torch.zeros(3, 1)}, 2)
    assert split({"names": ["x", "y"], "a": torch.zeros(2, 1)}, 2)[1] == {"names": ["y"], "a": torch.zeros(1, 1)}


def recipe(*changes):
    return i2i_forge.load_recipe("munit_synthetic", set=changes)


def test_a_recipe_says_how_many_are_computed_at_once():
    for micro, parts in ((8, 1), (4, 2), (1, 8), (9, 1)):
        trainer = i2i_forge.build_trainer(recipe("data.batch=8", f"run.micro_batch={micro}"), "meta")
        assert trainer.parts == parts
    with pytest.raises(RecipeError, match=r"run\.micro_batch: the 8 images of a step and rank are not 3 equal parts"):
        i2i_forge.build_trainer(recipe("data.batch=8", "run.micro_batch=3"), "meta")


def test_a_batch_that_ranks_cannot_share(monkeypatch):
    monkeypatch.setattr("i2i_forge.system.distributed.world_size", lambda: 4)
    with pytest.raises(RecipeError, match=r"data\.batch: 6 images cannot be shared equally by 4 ranks") as caught:
        i2i_forge.build_trainer(recipe("data.batch=6"), "meta")
    assert "--set data.batch=8" in caught.value.fix
