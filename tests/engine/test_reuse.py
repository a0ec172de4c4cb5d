"""`reuse`: a tensor of another phase's pass, computed once, by its owner, in its owner's way."""

from typing import Any

import pytest
import torch
import toy
from torch import Tensor

from i2i_forge.engine.forward_pass import tensor
from i2i_forge.engine.passes import StepPasses
from i2i_forge.errors import RecipeError

TRANSLATOR = {"trains": ["encoder", "decoder"], "minimize": {"gan": "1 * size(fake_logits)"}}
CRITIC = {"trains": ["critic"], "minimize": {"fake": "1 * size(fake_logits)"}}
REUSING = {**CRITIC, "reuse": {"translation": "translator"}}
ORDERS = {
    "owner first": {"translator": TRANSLATOR, "critic": REUSING},
    "owner last": {"critic": REUSING, "translator": TRANSLATOR},
}


def seen_by(phases: dict[str, Any], **changes: Any) -> tuple[Any, dict[str, list[Tensor]], dict[str, Any]]:
    """The trainer after a step, what each phase's `size` and `look` were given, and the report."""
    seen: dict[str, list[Tensor]] = {}
    catalog = toy.catalog()
    for who in ("critic", "translator"):

        def look(translation: Tensor, logits: Tensor, who: str = who) -> Tensor:
            if not translation.is_meta:  # the trace of the build
                seen.setdefault(who, []).append(translation)
            return logits.square().mean()

        catalog.losses.add(f"look_{who}", look)
    trainer = toy.build(phases, of=catalog, **changes)
    report = trainer.step(toy.images(), 0)
    return trainer, seen, report


def looking(phases: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**phase, "minimize": {"look": f"1 * look_{name}(translation, fake_logits)"}}
        for name, phase in phases.items()
    }


@pytest.mark.parametrize("order", ORDERS)
def test_a_reused_tensor_is_computed_once_and_detached(order: str) -> None:
    trainer, seen, _ = seen_by(looking(ORDERS[order]))
    for domain in ("a", "b"):
        assert trainer.networks["decoder"][domain].calls == 1
        assert trainer.networks["encoder"][domain].calls == 1
    for route in (0, 1):
        assert torch.equal(seen["critic"][route], seen["translator"][route])
        assert not seen["critic"][route].requires_grad
        assert seen["translator"][route].requires_grad


@pytest.mark.parametrize("order", ORDERS)
def test_without_reuse_the_phase_draws_its_own(order: str) -> None:
    phases = {name: {k: v for k, v in phase.items() if k != "reuse"} for name, phase in looking(ORDERS[order]).items()}
    trainer, seen, _ = seen_by(phases)
    assert trainer.networks["decoder"]["a"].calls == 2
    assert not torch.equal(seen["critic"][0], seen["translator"][0])


def test_reuse_does_not_change_the_training_of_an_owner_that_plays_first() -> None:
    phases = looking(ORDERS["owner first"])
    reusing, _, _ = seen_by(phases)
    apart, _, _ = seen_by({name: {k: v for k, v in phase.items() if k != "reuse"} for name, phase in phases.items()})
    for name, value in apart.state_dict().items():
        if name.startswith(("encoder", "decoder")):
            assert torch.equal(reusing.state_dict()[name], value), name


def test_the_owner_that_plays_last_still_learns_from_its_graph() -> None:
    trainer = toy.build(ORDERS["owner last"])
    before = toy.weights(trainer)
    trainer.step(toy.images(), 0)
    assert toy.changed(trainer, before) == {"critic", "encoder", "decoder"}


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_the_owners_noise_and_dropout(order: str) -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "dropout": 0.5}}
    _, seen, _ = seen_by(looking(ORDERS[order]), networks=networks)
    fresh = toy.build(ORDERS[order], networks=networks)
    expected = StepPasses(fresh, toy.images(), 0, {}).get("translator", "ab").translation
    assert torch.equal(seen["critic"][0], expected)


def test_an_owner_that_drops_the_tensor_still_computes_it_before_its_update() -> None:
    """Leaving out the generator's adversarial term must not change which images the critic judges."""
    other = {"other": "1 * size(target_content)"}  # trains the encoders, and leaves the tensor's needs uncomputed
    owner = {**TRANSLATOR, "minimize": {"gan": "1 * size(fake_logits)", **other}}
    full = toy.build({"translator": owner, "critic": REUSING})
    report = full.step(toy.images(), 0)
    dropped = {**TRANSLATOR, "minimize": other}
    ablated = toy.build({"translator": dropped, "critic": REUSING}).step(toy.images(), 0)
    assert ablated == {name: value for name, value in report.items() if "/gan/" not in name}


def test_nothing_is_computed_for_a_phase_that_does_not_play() -> None:
    dropped = {**TRANSLATOR, "minimize": {"other": "1 * size(content)"}}
    for silent in ({"minimize": {}}, {"minimize": {"fake": "linear(0, 1, steps=5) * size(fake_logits)"}}):
        trainer = toy.build({"translator": dropped, "critic": {**REUSING, **silent}})
        trainer.step(toy.images(), 0)
        assert trainer.networks["decoder"]["a"].calls == 0
    trainer = toy.build({"translator": dropped, "critic": {**REUSING, "every": 2}})
    trainer.step(toy.images(), 1)
    assert trainer.networks["decoder"]["a"].calls == 0


@pytest.mark.parametrize("order", ORDERS)
def test_an_owner_whose_turn_it_is_not_computes_it_on_demand(order: str) -> None:
    phases = {name: {**phase, "every": 2} if name == "translator" else phase for name, phase in ORDERS[order].items()}
    trainer = toy.build(phases)
    before = toy.weights(trainer)
    assert set(trainer.step(toy.images(), 1)) == {"critic/fake/ab", "critic/fake/ba"}
    assert toy.changed(trainer, before) == {"critic"}


def test_given_of_the_owner_reaches_the_one_who_reuses() -> None:
    trainer = toy.build(ORDERS["owner last"])
    fake = torch.zeros(2, 3, 8, 8)
    given = {"translator": {"ab": {"translation": fake}, "ba": {"translation": fake}}}
    with torch.no_grad():
        expected = trainer.networks["critic"]["b"](fake).square().mean().item()
    phases = ORDERS["owner last"]
    assert phases["critic"]["reuse"]
    with pytest.raises(RecipeError, match="none of its terms depends on what it trains"):  # the translator's
        trainer.step(toy.images(), 0, given=given)
    report = toy.build({"critic": REUSING, "translator": {**TRANSLATOR, "minimize": {}}}).step(
        toy.images(), 0, given=given
    )
    assert report["critic/fake/ab"] == pytest.approx(expected)


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_a_stale_reuse_is_refused_when_the_trainer_is_built() -> None:
    phases = {"early": {**REUSING, "trains": ["critic", "decoder"]}, "translator": TRANSLATOR}
    with pytest.raises(RecipeError) as caught:
        toy.build(phases)
    assert str(caught.value) == (
        "phases.early.reuse.translation: decoder would be updated between computing 'translation' and the backward of "
        "phase 'translator'\nfix: put 'translator' before the phases that train decoder, or do not reuse 'translation'"
    )


def test_a_phase_between_the_two_makes_it_stale_too() -> None:
    between = {"trains": ["encoder"], "minimize": {"x": "1 * size(content)"}}
    with pytest.raises(RecipeError, match="encoder would be updated"):
        toy.build({"critic": REUSING, "between": between, "translator": TRANSLATOR})
    toy.build({"between": between, "critic": REUSING, "translator": TRANSLATOR})
    toy.build({"critic": REUSING, "between": {**between, "minimize": {}}, "translator": TRANSLATOR})


def test_a_stale_reuse_is_seen_through_a_schedule_that_begins_at_zero() -> None:
    later = {"fake": "linear(0, 1, steps=10) * size(fake_logits)"}
    with pytest.raises(RecipeError, match="decoder would be updated"):
        toy.build({"critic": {**REUSING, "trains": ["critic", "decoder"], "minimize": later}, "translator": TRANSLATOR})


def test_a_reused_tensor_must_be_its_owners_own() -> None:
    phases = {
        "one": {**CRITIC, "reuse": {"translation": "two"}},
        "two": {**TRANSLATOR, "reuse": {"translation": "one"}},
    }
    with pytest.raises(RecipeError, match=r"phases\.one\.reuse\.translation: 'two' does not compute it"):
        toy.build(phases)


class CrosswiseForward(toy.ToyForward):
    """Whose critic looks at what the other direction gave."""

    @tensor
    def crosswise(self) -> Tensor:
        return self.src.critic(self.reverse.translation)


def test_what_the_reverse_direction_takes_is_computed_before_its_networks_change() -> None:
    """The owner has no term on that direction, and shared networks, which its other direction trains."""
    catalog = toy.catalog()
    catalog.trainers.add("crosswise", type("Crosswise", (toy.Toy,), {"forward_pass": CrosswiseForward}))
    networks = {role: {"use": "conv"} for role in ("encoder", "decoder")} | {
        "critic": {"use": "conv", "per": ["a", "b"]}
    }
    owner = {"trains": ["encoder", "decoder"], "minimize": {"gan": {"ab": "1 * size(fake_logits)"}}}
    taker = {"trains": ["critic"], "reuse": {"translation": "translator"},
             "minimize": {"cross": {"ab": "1 * size(crosswise)"}}}  # fmt: skip
    made = {"of": catalog, "trainer": "crosswise", "networks": networks}
    found = toy.build({"translator": owner, "critic": taker}, **made).step(toy.images(), 0)
    silent = {**owner, "minimize": {"nothing": {"ab": "0 * size(fake_logits)"}}}
    expected = toy.build({"critic": taker, "translator": silent}, **made).step(toy.images(), 0)
    assert found["critic/cross/ab"] == expected["critic/cross/ab"]
