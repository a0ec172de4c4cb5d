"""A step without data: what is computed, in which shapes, and what is pruned."""

from typing import Any

import numpy as np
import pytest
import torch
import toy
from loaded import CATALOG
from shrink import small
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.phases import BoundTerm
from i2i_forge.engine.trace import Trace, trace
from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.schedules import constant

CYCLE = "phases.generator.minimize.cycle=10 * l1(cycled, source)"


def munit(*, set: list[str] | None = None, drop: list[str] | None = None) -> Trace:
    recipe = i2i_forge.load_recipe(
        "munit_edge2shoes", set=["data.size=[64, 96]", "data.batch=2", *(set or [])], drop=drop or []
    )
    return trace_recipe(recipe, CATALOG)


@pytest.fixture(scope="module")
def full() -> Trace:
    return munit(set=[CYCLE])


def test_needs_and_calls(full: Trace) -> None:
    def node(name: str, phase: str = "generator", route: str = "ab") -> tuple[str, str, str]:
        return phase, route, name

    assert full.needs[node("translation")] == [node("content"), node("random_style")]
    assert full.needs[node("cycled")] == [node("recovered_content"), node("style")]
    assert full.needs[node("content")] == [node("source")]
    assert full.calls[node("translation")] == ["decoder.b"]
    assert full.calls[node("cycled")] == ["decoder.a"]
    assert node("content", "discriminator", "ba") not in full.calls  # taken from the generator's pass
    assert node("source") not in full.calls
    assert full.network_calls == 22


def test_closure_is_in_order_of_computation_without_repeats(full: Trace) -> None:
    closure = full.closure(("generator", "ab", "cycled"))
    assert [name for _, _, name in closure] == [
        "source", "content", "random_style", "translation", "recovered_content", "style", "cycled",
    ]  # fmt: skip
    for index, node in enumerate(closure):
        assert all(closure.index(needed) < index for needed in full.needs.get(node, []))
    assert full.networks(("generator", "ab", "cycled")) == {
        "content_encoder.a", "content_encoder.b", "style_encoder.a", "decoder.a", "decoder.b",
    }  # fmt: skip


def test_terms_name_their_tensors(full: Trace) -> None:
    assert full.terms["generator/style/ba"] == [
        ("generator", "ba", "recovered_style"),
        ("generator", "ba", "random_style"),
    ]
    assert len(full.terms) == 2 * 6


def test_shapes(full: Trace) -> None:
    shapes = {
        name: shape for (phase, route, name), shape in full.shapes.items() if (phase, route) == ("generator", "ab")
    }
    assert shapes == {
        "source": "2x3x64x96", "content": "2x256x16x24", "style": "2x8", "random_style": "2x8",
        "reconstruction": "2x3x64x96", "translation": "2x3x64x96", "recovered_content": "2x256x16x24",
        "recovered_style": "2x8", "cycled": "2x3x64x96", "fake_logits": "2x1x4x6, 2x1x2x3, 2x1x1x1",
    }  # fmt: skip


def test_pruned_is_what_no_term_needs(full: Trace) -> None:
    second = {"random_style_2", "translation_2"}
    assert set(full.pruned["generator"]) == {"real_logits", "target"} | second
    assert "cycled" in full.pruned["discriminator"]
    assert not {"content", "translation", "real_logits"} & set(full.pruned["discriminator"])
    without = munit(drop=["generator.style"])
    assert set(without.pruned["generator"]) == {"cycled", "real_logits", "recovered_style", "target"} | second


def test_a_term_whose_schedule_begins_at_zero_is_not_pruned() -> None:
    traced = munit(set=["phases.generator.minimize.cycle=linear(0, 1, steps=1000) * l1(cycled, source)"])
    assert "cycled" not in traced.pruned["generator"]
    assert traced.network_calls == 22


def test_parameters_are_those_of_the_paper(full: Trace) -> None:
    """Specification 1.2: 15,026,187 a generator, 8,271,171 a discriminator, 46,594,716 together."""
    generator = sum(full.parameters[f"{role}.a"] for role in ("content_encoder", "style_encoder", "decoder"))
    assert generator == 15_026_187
    assert full.parameters["discriminator.b"] == 8_271_171
    assert sum(full.parameters.values()) == 46_594_716
    assert full.bytes_parameters == 4 * 46_594_716


def test_activations_grow_with_the_batch() -> None:
    one, two, four = (munit(set=[f"data.batch={n}"]).bytes_activations for n in (1, 2, 4))
    assert two - one > 2**20
    assert four - two == pytest.approx(2 * (two - one), rel=0.01)  # beside what does not depend on the batch


class Allocated(TorchDispatchMode):
    """Adds up the bytes of results that are not on the device meta."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and not value.is_meta:
                self.bytes += value.nbytes
        return result


def test_the_device_meta_costs_no_memory() -> None:
    recipe = i2i_forge.load_recipe("munit_edge2shoes", set=[CYCLE, "data.size=1024", "data.batch=64"])
    with Allocated() as allocated:
        traced = trace_recipe(recipe, CATALOG)
    assert traced.bytes_activations > 2**37
    assert allocated.bytes < 2**20  # noise of a few numbers, random states
    trainer = build_trainer(recipe, CATALOG, "meta")
    assert all(value.is_meta for value in trainer.state_dict().values())


@pytest.mark.parametrize(
    ("norm", "scheme"),
    [
        ("instance", "kaiming"),
        ("layer", "gaussian"),
        ("batch", "xavier"),
        ("none", "default"),
        ("spectral", "orthogonal"),
    ],
)
def test_every_norm_and_init_can_be_traced(norm: str, scheme: str) -> None:
    parts = {"content_encoder": norm, "style_encoder": "none", "discriminator": norm}
    sets = [f"networks.{role}.norm={name}" for role, name in parts.items()]
    sets += [f"networks.{role}.init={scheme}" for role in (*parts, "decoder")]
    sets += small(content_encoder="blocks=1", style_encoder="", decoder="", discriminator="scales=2")
    assert munit(set=[*sets, "networks.discriminator.augment=[color, flip]", "data.size=128"]).network_calls == 20


def test_a_shared_network_and_a_reverse_pass_are_traced() -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv"}}
    traced = trace_recipe(toy.recipe(toy.only("1 * mse(cycled, source)"), networks=networks), toy.catalog())
    assert traced.calls["phase", "ab", "content"] == ["encoder"]
    assert ("phase", "ba", "code") in traced.needs["phase", "ab", "cycled"]
    assert traced.parameters["state.pool.ab"] == 0
    # `pruned` goes by the name: the code of the way back counts as needed
    assert "code" not in traced.pruned["phase"]


def test_further_images_of_a_batch_are_for_steps_with_data_alone() -> None:
    phases = toy.only("1 * mse(translation, labels)")
    with pytest.raises(UsageError, match=r"needs images 'labels'; the batch holds \['a', 'b'\]") as refused:
        trace_recipe(toy.recipe(phases), toy.catalog())
    assert "use `forge check --no-step`; `forge train` gives what its data set has" in refused.value.fix
    assert toy.build(phases).step({**toy.images(), "labels": toy.images()["a"]}, 0)  # as it says


def test_a_trace_takes_any_trainer_on_meta_and_leaves_no_hook() -> None:
    trainer = build_trainer(toy.recipe(), toy.catalog(), "meta")
    traced = trace(trainer, {d: torch.empty(5, 3, 8, 8, device="meta") for d in ("a", "b")})
    assert traced.shapes["translator", "ba", "translation"] == "5x3x8x8"
    assert not any(module._forward_pre_hooks for _, module in trainer.modules())


# ---- the loss of a term ----------------------------------------------------------------------------------------------


def term(loss):
    return BoundTerm("edges", "ab", constant(1.0), loss, ("source",))


@pytest.mark.parametrize(
    ("loss", "gives"), [(lambda x: x.abs(), "2x3"), (lambda x: 0.5, "float"), (lambda x: x.sum().view(1), "1")]
)
def test_a_loss_is_one_number(loss, gives):
    with pytest.raises(RecipeError) as refused:
        term(loss).value("generator", [torch.ones(2, 3)])
    assert refused.value.message.startswith(f"phases.generator.minimize.edges: the loss gives {gives} instead of")
    assert ".mean()" in refused.value.fix


def test_an_error_in_a_loss_names_the_term():
    with pytest.raises(TypeError) as raised:
        term(lambda x: x ** "two").value("generator", [torch.ones(2)])
    assert raised.value.__notes__ == ["while computing the loss of term 'edges' (phase generator, route ab)"]


def test_a_term_that_compares_other_numbers_of_channels_is_a_mistake_of_the_recipe(forge):
    term = "phases.generator.minimize.image=l1(translation, source)"
    code, _, err = forge(
        "check", "pix2pix_phantom", "--set", "domains.a={channels: [mr, mr2], range: [0, 2000]}", "--set", term
    )
    assert code == 3 and "Traceback" not in err
    assert "different shapes: (8, 1, 64, 64) and (8, 2, 64, 64), while computing the loss of term 'image'" in err
    assert "fix: let the term compare other tensors" in err


@pytest.mark.parametrize("loss", [lambda x, y: x.sum() * x.mean().item(), lambda x, y: torch.tensor(np.abs(x.numpy()))])
def test_checking_a_recipe_says_that_a_loss_needs_values(loss):
    host = load_plugins()
    host.catalog.losses.add("valued", loss)
    recipe = read_recipe("pix2pix_synthetic", set=["phases.generator.minimize.edges=1 * valued(translation, target)"])
    with pytest.raises((RuntimeError, TypeError, NotImplementedError)) as raised:
        trace_recipe(recipe, host.catalog)
    assert any("tensors have no values here" in note for note in raised.value.__notes__)
