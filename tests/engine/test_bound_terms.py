"""A term's loss gives one number, and what goes wrong in it names the term."""

import numpy as np
import pytest
import torch

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.passes import BoundTerm
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.schedules import constant


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


@pytest.mark.parametrize("loss", [lambda x, y: x.sum() * x.mean().item(), lambda x, y: torch.tensor(np.abs(x.numpy()))])
def test_checking_a_recipe_says_that_a_loss_needs_values(loss):
    host = load_plugins()
    host.catalog.losses.add("valued", loss)
    recipe = read_recipe("pix2pix_synthetic", set=["phases.generator.minimize.edges=1 * valued(translation, target)"])
    with pytest.raises((RuntimeError, TypeError, NotImplementedError)) as raised:
        trace_recipe(recipe, host.catalog)
    assert any("tensors have no values here" in note for note in raised.value.__notes__)
