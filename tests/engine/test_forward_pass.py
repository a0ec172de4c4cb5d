"""Named tensors: computed once, with randomness that depends on their names alone."""

import gc
import math
import weakref
from typing import Any, cast

import pytest
import torch
import toy
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import ForwardPass, frozen, seeded, tensor
from i2i_forge.engine.passes import StepPasses
from i2i_forge.errors import ForgeError, PluginError, RecipeError, UsageError
from i2i_forge.system import distributed
from i2i_forge.system.seeding import normal, seed_of


def passes(trainer: Any, *, step: int = 0, given: Any = None, phase: str = "phase") -> dict[str, Any]:
    made = StepPasses(trainer, toy.images(), step, {phase: given or {}}, phases=trainer.phases)
    return {route: made.get(phase, route) for route in trainer.routes}


# ---- values --------------------------------------------------------------------------------------------------------


def test_a_tensor_is_computed_once_and_its_needs_with_it() -> None:
    trainer = toy.build()
    ab = passes(trainer)["ab"]
    assert trainer.networks["encoder"]["a"].calls == 0
    first = ab.translation
    assert ab.translation is first
    assert ab.content is ab.content
    assert trainer.networks["encoder"]["a"].calls == 1
    assert trainer.networks["decoder"]["b"].calls == 1
    assert trainer.networks["encoder"]["b"].calls == 0
    assert trainer.networks["decoder"]["a"].calls == 0


def test_none_is_a_value_too(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    class Nothing(ForwardPass):
        @tensor
        def nothing(self) -> None:
            computed.append(1)

    trainer = toy.build()
    monkeypatch.setattr(toy.Toy, "forward_pass", Nothing)
    ab = passes(trainer)["ab"]
    assert ab.nothing is None
    assert ab.nothing is None
    assert computed == [1]


def test_tensors_lists_inherited_ones_and_a_subclass_replaces_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sub(toy.ToyForward):
        @tensor
        def content(self) -> Tensor:
            return self.source + 1

    assert {"source", "target", "translation", "content"} <= set(Sub.tensors())
    assert Sub.tensors()["content"].compute is not toy.ToyForward.tensors()["content"].compute
    monkeypatch.setattr(toy.Toy, "forward_pass", Sub)
    ab = passes(toy.build())["ab"]
    assert torch.equal(ab.content, ab.source + 1)


def test_a_tensor_that_needs_itself_is_an_error_that_shows_the_circle() -> None:
    with pytest.raises(ForgeError, match="'chicken' needs itself: chicken -> egg -> chicken"):
        passes(toy.build())["ab"].chicken  # noqa: B018


def test_a_failure_names_every_tensor_on_the_way() -> None:
    with pytest.raises(ValueError, match="a mistake of the author") as caught:
        passes(toy.build())["ba"].after_broken  # noqa: B018
    assert caught.value.__notes__ == [
        "while computing tensor 'broken' (phase phase, route ba)",
        "while computing tensor 'after_broken' (phase phase, route ba)",
    ]


def test_after_a_failure_the_tensor_can_be_asked_for_again() -> None:
    ab = passes(toy.build())["ab"]
    for _ in range(2):
        with pytest.raises(ValueError, match="a mistake"):
            ab.after_broken  # noqa: B018


def test_missing_images_are_named() -> None:
    trainer = toy.build()
    made = StepPasses(trainer, {"a": toy.images()["a"]}, 0, {})
    with pytest.raises(UsageError, match=r"route 'ab' needs images 'b'; the batch holds \['a'\]"):
        made.get("phase", "ab").target  # noqa: B018


def test_a_role_without_a_network_for_the_domain_is_named() -> None:
    networks = toy.recipe().to_data()["networks"] | {"critic": {"use": "conv", "per": ["b"]}}
    trainer = toy.build(networks=networks)
    assert passes(trainer)["ab"].fake_logits.shape == (2, 1, 3, 3)
    with pytest.raises(RecipeError, match=r"networks\.critic: domain 'a' has none"):
        passes(trainer)["ba"].fake_logits  # noqa: B018


def test_reverse_is_the_pass_the_other_way_of_the_same_phase() -> None:
    both = passes(toy.build())
    assert both["ab"].reverse is both["ba"]
    assert both["ba"].reverse is both["ab"]
    assert both["ab"].reverse_content is both["ba"].content


# ---- names --------------------------------------------------------------------------------------------------------


def called(name: str) -> Any:
    """A toy that has one more tensor, of this name."""

    def compute(self: Any) -> Tensor:
        return self.source + 1

    compute.__name__ = name
    forward_pass = type("Named", (toy.ToyForward,), {name: tensor(compute)})
    return type("Named", (toy.Toy,), {"forward_pass": forward_pass})


@pytest.mark.parametrize("name", ["keep", "clear", "argument", "watched", "step", "values", "seeded"])
def test_a_tensor_may_have_any_other_name(name: str) -> None:
    catalog = toy.catalog()
    catalog.trainers.add("named", called(name))
    phases = toy.only(f"1 * mse({name}, translation)")
    report = toy.build(phases, of=catalog, trainer="named").step(toy.images(), 0)
    ab = passes(toy.build())["ab"]
    assert report["phase/term/ab"] == pytest.approx((ab.source + 1 - ab.translation).square().mean().item())


def test_what_a_pass_needs_for_itself_is_no_name_for_a_tensor() -> None:
    own = {name for name in {*vars(ForwardPass), *vars(passes(toy.build())["ab"])} if not name.startswith("__")}
    assert {"src", "state", "_values"} <= own
    for name in own - {"source", "target", "noise"}:  # the tensors of all passes, and what UNIT calls one of its own
        with pytest.raises(PluginError, match=rf"Named\.{name} hides what every ForwardPass has under this name"):
            called(name)


def test_helpers_may_be_replaced_and_machinery_may_not() -> None:
    assert type("Halving", (toy.ToyForward,), {"input": lambda self, name: name})
    with pytest.raises(PluginError, match=r"Mine\._draws hides"):
        type("Mine", (toy.ToyForward,), {"_draws": 3})


# ---- noise ---------------------------------------------------------------------------------------------------------


both_kinds = pytest.mark.parametrize("noise", ["generator", "counter"])


def drawn(trainer: Any = None, *, name: str = "code", route: str = "ab", **options: Any) -> Tensor:
    return getattr(passes(trainer or toy.build(), **options)[route], name)


@both_kinds
def test_noise_is_a_function_of_its_key(noise: str) -> None:
    trainer = toy.build(noise=noise)
    assert torch.equal(drawn(trainer), drawn(toy.build(noise=noise)))
    others = [
        drawn(toy.build(seed=4, noise=noise)), drawn(trainer, step=1), drawn(trainer, phase="another"),
        drawn(trainer, route="ba"), *drawn(trainer, name="two_draws"),
    ]  # fmt: skip
    everything = [drawn(trainer), *others]
    for index, one in enumerate(everything):
        assert not any(torch.equal(one, other) for other in everything[:index])


@both_kinds
def test_noise_does_not_depend_on_order_nor_on_what_else_is_drawn(noise: str) -> None:
    trainer = toy.build(noise=noise)
    alone = {name: drawn(trainer, name=name) for name in ("code", "two_draws", "masked", "masked_again")}
    for order in (list(alone), list(reversed(alone))):
        forward = passes(trainer)["ab"]
        torch.rand(7)
        for name in order:
            assert torch.equal(getattr(forward, name), alone[name])


def test_a_tensor_drawn_in_the_midst_of_another_changes_neither() -> None:
    inside, before = passes(toy.build())["ab"], passes(toy.build())["ab"]
    assert torch.equal(before.code, drawn())
    assert torch.equal(inside.drawn_around, before.drawn_around)
    assert torch.equal(inside.code, drawn())
    first, _, second = inside.drawn_around
    assert not torch.equal(first, second)


@both_kinds
def test_noise_is_standard_normal_with_the_type_of_like(noise: str) -> None:
    drawn = passes(toy.build(noise=noise))["ab"].noise(10_000, 5, like=torch.empty(0, dtype=torch.float64))
    assert drawn.dtype == torch.float64
    assert drawn.shape == (10_000, 5)
    moments = [drawn.pow(power).mean().item() for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.1)
    assert torch.allclose(drawn.T.corrcoef(), torch.eye(5, dtype=drawn.dtype), atol=0.05)


@both_kinds
def test_a_share_of_the_batch_draws_what_one_process_draws_for_it(noise: str) -> None:
    def of(trainer: Any, count: int) -> Tensor:
        return cast(Tensor, passes(trainer)["ab"].noise(count, 3, 3, like=torch.empty(0)))

    trainer, shares = toy.build(noise=noise), []
    for number in range(3):
        with distributed.part(number, 3):
            shares.append(of(trainer, 2))
    assert torch.equal(torch.cat(shares), of(trainer, 6))


def test_noise_of_a_counter_is_splitmix64_made_normal() -> None:
    key, places, size = seed_of("a key"), range(5, 7), 5
    found = normal(key, places, size, device=torch.device("cpu"))
    for row, place in zip(found, places, strict=True):
        numbers: list[float] = []
        for pair in range(3):
            z = (key + 0x9E3779B97F4A7C15 * (3 * place + pair + 1)) % 2**64
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
            z ^= z >> 31
            radius = math.sqrt(-2 * math.log(((z >> 32) + 0.5) / 2**32))
            angle = 2 * math.pi * (z % 2**32 + 0.5) / 2**32
            numbers += [radius * math.cos(angle), radius * math.sin(angle)]
        assert row.tolist() == pytest.approx(numbers[:size], abs=1e-5)


def test_seeds_differ_by_the_type_and_place_of_every_part() -> None:
    seeds = [seed_of(*parts) for parts in ((1, 2), (2, 1), ("1", 2), (12,), ("1/2",), (1, "2"), ("1/int:2",))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "init", "decoder") == seed_of(0, "init", "decoder")


def test_seeded_gives_the_global_state_back_even_after_an_error() -> None:
    before = torch.get_rng_state()
    with seeded(1, torch.device("cpu")):
        inside = torch.rand(3)
    with pytest.raises(ZeroDivisionError), seeded(2, torch.device("cpu")):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(1, torch.device("cpu")):
        assert torch.equal(torch.rand(3), inside)


# ---- given ---------------------------------------------------------------------------------------------------------


def test_given_replaces_a_draw_on_its_route_only() -> None:
    code = torch.full((2, 2), 5.0)
    both = passes(toy.build(), given={"ab": {"code": code}})
    assert torch.equal(both["ab"].code, code)
    assert torch.equal(both["ba"].code, drawn(route="ba"))


def test_given_replaces_a_computed_tensor_and_what_it_needs_is_not_computed() -> None:
    trainer = toy.build()
    translation = torch.zeros(2, 3, 8, 8)
    ab = passes(trainer, given={"ab": {"translation": translation}})["ab"]
    assert torch.equal(ab.recovered, trainer.networks["encoder"]["b"](translation))
    assert trainer.networks["encoder"]["a"].calls == 0
    assert trainer.networks["decoder"]["b"].calls == 0


def test_given_replaces_an_input() -> None:
    ab = passes(toy.build(), given={"ab": {"source": torch.ones(1, 3, 8, 8)}})["ab"]
    assert ab.content.shape[0] == 1


def test_given_values_take_the_trainers_type_but_labels_stay_integers() -> None:
    trainer = toy.build(dtype=torch.float64)
    ab = passes(trainer, given={"ab": {"code": torch.ones(2, 2), "labels": torch.tensor([1, 2])}})["ab"]
    assert ab.code.dtype == torch.float64
    assert ab.labels.dtype == torch.int64


# ---- dropout -------------------------------------------------------------------------------------------------------


def test_dropout_draws_under_the_tensors_key() -> None:
    trainer = toy.build()
    one, other = passes(trainer), passes(trainer)
    again_first = other["ab"].masked_again
    assert torch.equal(one["ab"].masked, other["ab"].masked)
    assert torch.equal(one["ab"].masked_again, again_first)
    assert not torch.equal(one["ab"].masked, one["ab"].masked_again)
    assert not torch.equal(one["ab"].masked, one["ba"].masked)
    assert not torch.equal(one["ab"].masked, passes(trainer, step=1)["ab"].masked)


def test_dropout_in_a_tensor_does_not_depend_on_what_is_computed_inside_it() -> None:
    """`translation` computes `content` on its way, or finds it; the layers of both draw the same."""
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "dropout": 0.5}}
    trainer = toy.build(networks=networks)
    found, computed = passes(trainer)["ab"], passes(trainer)["ab"]
    content = found.content
    assert (content == 0).any()
    assert torch.equal(found.recovered, computed.recovered)
    assert torch.equal(content, computed.content)


# ---- life ----------------------------------------------------------------------------------------------------------


def test_clear_forgets_values_and_the_reverse_pass() -> None:
    both = passes(toy.build())
    translation = weakref.ref(both["ab"].translation)
    gone = weakref.ref(both["ab"])
    both["ab"]._clear()
    assert translation() is None
    assert both["ab"].reverse is None
    gc.disable()
    try:
        both["ba"]._clear()
        both.clear()
        assert gone() is None  # without the collector's help: there is no circle left
    finally:
        gc.enable()


# ---- frozen --------------------------------------------------------------------------------------------------------


def test_frozen_passes_gradients_to_the_input_and_not_to_the_weights() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    x = torch.randn(2, 3, 3, 3, requires_grad=True)
    names = {name: (id(p), p.requires_grad) for name, p in network.named_parameters()}
    through = frozen(network)(x)
    assert torch.equal(through, network(x))
    through.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())
    assert names == {name: (id(p), p.requires_grad) for name, p in network.named_parameters()}
    network(x).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_frozen_works_with_spectral_norm() -> None:
    network = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)).eval()
    x = torch.randn(4, 3, requires_grad=True)
    out = frozen(network)(x)
    assert torch.allclose(out, network(x))
    out.sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in network.parameters())


def test_frozen_in_a_step_trains_what_is_before_it_only() -> None:
    """`judged` runs the encoder of b on the translation: the encoder of a and the decoder of b learn, that of b not."""
    trainer = toy.build(toy.only("1 * size(judged)"))
    before = toy.weights(trainer)
    trainer.step(toy.images(), 0)
    moved = {name for name, value in trainer.state_dict().items() if not value.equal(before[name])}
    assert moved == {
        "encoder.a.conv.weight", "encoder.a.conv.bias", "decoder.b.conv.weight", "decoder.b.conv.bias",
        "decoder.b.code.weight", "decoder.b.code.bias",
    }  # fmt: skip
