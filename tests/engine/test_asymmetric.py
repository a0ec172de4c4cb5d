"""Methods whose directions differ: a pass for each route, latents on one of them, networks that differ by domain."""

from typing import Any, ClassVar

import pytest
import torch
import toy
from torch import Tensor, nn

from i2i_forge.catalog.registry import Catalog
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.forward_pass import ForwardPass, tensor
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.recipe.reading import Recipe


class There(ForwardPass):
    @tensor
    def random_code(self) -> Tensor:
        return self.noise(len(self.source), 2, like=self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source), self.random_code)


class Back(ForwardPass):
    @tensor
    def code(self) -> Tensor:
        return self.src.encoder(self.source).mean((2, 3))[:, :2]

    @tensor
    def translation(self) -> Tensor:
        return -self.src.encoder(self.source)[:, :3]

    @tensor
    def cycled(self) -> Tensor:
        return self.reverse.dst.decoder(self.reverse.src.encoder(self.translation), self.code)


class Lopsided(Trainer):
    forward_pass: ClassVar = {"ab": There, "ba": Back}
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders"}
    latents: ClassVar = {"random_code": "code"}


class Wide(nn.Module):
    """As the toy's encoder with more inner channels."""

    def __init__(self, inner: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, inner, 1), nn.Conv2d(inner, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OneWay(Trainer):
    """Only ab; the code of a reference image belongs to the domain entered."""

    class Forward(There):
        @tensor
        def code(self) -> Tensor:
            return self.target.mean((2, 3))[:, :2]

        @tensor
        def in_training(self) -> Tensor:
            return self.source * float(self.training)

    forward_pass = Forward
    routes: ClassVar = {"ab": ("a", "b")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "critic": "discriminators"}
    optional_roles: ClassVar = ("critic",)
    latents: ClassVar = {"random_code": "code"}


def gradient(critic: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.square().mean()


def catalog() -> Catalog:
    made = toy.catalog()
    made.losses.add("gradient", gradient)
    made.trainers.add("lopsided", Lopsided)
    made.trainers.add("one_way", OneWay)
    made.encoders.add("wide", Wide)
    return made


def recipe(term: Any = None, **changes: Any) -> Recipe:
    terms = {"cycle": {"ba": "1 * mse(cycled, source)"}, "size": "1 * size(translation)"} if term is None else term
    networks = {
        "encoder": {"use": "wide", "per": {"a": {"inner": 5}, "b": {"use": "conv"}}},
        "decoder": {"use": "conv", "per": ["a", "b"]},
    }
    phases = {"translator": {"trains": ["encoder", "decoder"], "minimize": terms}}
    return toy.recipe(phases, **({"trainer": "lopsided", "networks": networks} | changes))


def build(*arguments: Any, **changes: Any) -> Trainer:
    return build_trainer(recipe(*arguments, **changes), catalog())


def test_each_route_has_its_own_tensors_and_a_step_trains_both() -> None:
    trainer = build()
    before = toy.weights(trainer)
    report = trainer.step(toy.images(), 0)
    assert set(report) == {"translator/cycle/ba", "translator/size/ab", "translator/size/ba"}
    assert toy.changed(trainer, before) == {"encoder", "decoder"}


def test_networks_of_one_role_may_differ_by_domain() -> None:
    trainer = build()
    assert isinstance(trainer.networks["encoder"]["a"], Wide)
    assert trainer.networks["encoder"]["a"].layers[0].out_channels == 5
    assert isinstance(trainer.networks["encoder"]["b"], toy.Encoder)


def test_a_term_on_a_route_without_the_tensor_names_the_route() -> None:
    with pytest.raises(RecipeError, match=r"minimize.cycle: Lopsided has no tensor 'cycled' on route 'ab'"):
        build({"cycle": "1 * mse(cycled, source)"})


def test_latents_count_on_the_routes_that_draw_them() -> None:
    trainer = build()
    assert trainer.latents_of("ab") == {"random_code": "code"}
    assert trainer.latents_of("ba") == {}
    x = toy.images()["b"]
    assert torch.equal(trainer.translate(x, "ba"), trainer.translate(x, "ba"))
    assert trainer.encode(x, "code", "b").shape == (2, 2)
    with pytest.raises(UsageError, match="has no tensor 'random_code'"):
        trainer.translate(x, "ba", random_code=torch.zeros(2, 2))


def test_a_trace_knows_both_passes() -> None:
    traced = trace_recipe(recipe(), catalog())
    assert traced.terms["translator/cycle/ba"][0] == ("translator", "ba", "cycled")
    assert traced.pruned["translator"] == ["target"]
    only_back = trace_recipe(recipe({"size": {"ba": "1 * size(translation)"}}), catalog())
    assert {"random_code", "code", "cycled"} <= set(only_back.pruned["translator"])


# ---- one direction -------------------------------------------------------------------------------------------------

ONE_WAY = {"trainer": "one_way", "networks": {"encoder": {"use": "conv"}, "decoder": {"use": "conv"}}}


def test_a_code_may_come_from_a_route_that_enters_the_domain() -> None:
    trainer = build({"size": "1 * size(translation)"}, **ONE_WAY)
    x = toy.images()["b"]
    assert torch.equal(trainer.encode(x, "code", "b"), x.mean((2, 3))[:, :2])


def test_a_pass_knows_whether_it_is_training() -> None:
    trainer = build({"size": "1 * size(in_training)", "all": "1 * size(translation)"}, **ONE_WAY)
    assert trainer.step(toy.images(), 0)["translator/size/ab"] > 0
    assert not trainer.infer("in_training", {"a": toy.images()["a"]}, "ab").any()


def test_an_optional_role_may_be_left_out_and_a_term_that_needs_it_says_so() -> None:
    trainer = build({"size": "1 * size(translation)"}, **ONE_WAY)
    assert set(trainer.networks) == {"encoder", "decoder"}
    asks = build({"penalty": "1 * gradient(critic, translation)"}, **ONE_WAY)
    with pytest.raises(RecipeError, match=r"networks.critic: the recipe has none, and a tensor needs it"):
        asks.step(toy.images(), 0)
    with pytest.raises(RecipeError, match=r"networks.encoder: one_way needs this role"):
        build({"size": "1 * size(translation)"}, trainer="one_way", networks={"decoder": {"use": "conv"}})


# ---- a role's network in a term ------------------------------------------------------------------------------------


def penalty(**changes: Any) -> Trainer:
    phases = {"critic": {"trains": ["critic"], "minimize": {"penalty": "1 * gradient(critic, target)"}}}
    return build_trainer(toy.recipe(phases, **changes), catalog())


def test_a_term_may_take_the_network_of_the_domain_entered() -> None:
    trainer = penalty()
    images = toy.images()
    expected = {}
    for route, domain in (("ab", "b"), ("ba", "a")):
        x = images[domain].clone().requires_grad_()
        (slope,) = torch.autograd.grad(trainer.networks["critic"][domain](x).sum(), x)
        expected[f"critic/penalty/{route}"] = slope.square().mean().item()
    before = toy.weights(trainer)
    assert trainer.step(images, 0) == pytest.approx(expected)
    assert toy.changed(trainer, before) == {"critic"}


def test_the_network_calls_of_a_loss_are_traced() -> None:
    phases = {"critic": {"trains": ["critic"], "minimize": {"penalty": {"ab": "1 * gradient(critic, target)"}}}}
    traced = trace_recipe(toy.recipe(phases), catalog())
    assert traced.calls == {("critic", "ab", "penalty (loss)"): ["critic.b"]}
    assert traced.network_calls == 1


# ---- state ---------------------------------------------------------------------------------------------------------


def test_state_takes_its_options_from_the_recipe_and_is_of_a_route() -> None:
    class Counter(nn.Module):
        def __init__(self, start: int = 0) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(start))

    class Counting(toy.Toy):
        state: ClassVar = {"counter": Counter}

    made = catalog()
    made.trainers.add("counting", Counting)
    phases = {"translator": {"trains": ["encoder"], "minimize": {"size": "1 * size(content)"}}}
    trainer = build_trainer(toy.recipe(phases, trainer="counting", state={"counter": {"start": 3}}), made)
    assert {k: int(v) for k, v in trainer.state_dict().items() if k.startswith("state")} == {
        "state.counter.ab.count": 3, "state.counter.ba.count": 3,
    }  # fmt: skip
    with pytest.raises(RecipeError, match=r"state.counter: .* unexpected keyword argument 'begin'"):
        build_trainer(toy.recipe(phases, trainer="counting", state={"counter": {"begin": 3}}), made)
    with pytest.raises(RecipeError, match=r"state.contor: counting has no such state"):
        build_trainer(toy.recipe(phases, trainer="counting", state={"contor": {}}), made)
