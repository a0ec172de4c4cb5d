"""For every method and every term: without it, every other number of a step is the same to the bit, and exactly the
network calls that `forge show --graph` leaves out are not made."""

from collections import Counter

import pytest
import torch
from shrink import shrunk

from i2i_forge.data.stream import batches
from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.optimizers import RoleOptimizer
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.streams import build_streams
from i2i_forge.study.costs import cost_of

SYNTHETIC = [name for name in shipped_recipes() if name.endswith("_synthetic")]


def terms_of(recipe):
    return [f"{phase}.{term}" for phase, plan in recipe.phases.items() for term in plan.minimize]


def step(recipe, catalog):
    """The first step's losses, and how often each network ran."""
    trainer = build_trainer(recipe, catalog)
    calls = Counter()
    for name, network in trainer.modules():
        if not name.startswith("state."):
            network.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
    batch = next(iter(batches(build_streams(recipe, catalog)[0], 0, 1, 0, False)))
    return trainer.step(batch, 0), calls


def without(report, term):
    return {name: value for name, value in report.items() if ".".join(name.split("/")[:2]) != term}


@pytest.mark.parametrize("name", SYNTHETIC)
def test_without_a_term(name, catalog, monkeypatch, tmp_path):
    """Networks are not updated here: a later phase judges what the earlier ones have learnt, which may differ."""
    monkeypatch.setattr(RoleOptimizer, "step", lambda *_: None)
    small = shrunk(read_recipe(name), catalog, tmp_path)
    heavy = [term for term in terms_of(read_recipe(name)) if term.endswith(".perceptual")]  # weights of another project
    full = read_recipe(name, set=small, drop=heavy)
    report, calls = step(full, catalog)
    whole = cost_of(full, catalog)
    assert calls == whole.calls
    terms = terms_of(full)
    assert {".".join(key.split("/")[:2]) for key in report} == set(terms)
    for term in terms:
        recipe = read_recipe(name, set=small, drop=[*heavy, term])
        cost = cost_of(recipe, catalog)
        found, made = step(recipe, catalog)
        assert found == without(report, term), term
        assert made == cost.calls, term
        assert {k: n for k in calls if (n := calls[k] - made[k])} == cost.saved(whole), term


@pytest.mark.slow
@pytest.mark.parametrize("name", SYNTHETIC)
def test_with_updates_the_phases_up_to_the_terms_own_are_the_same(name, catalog, tmp_path):
    small = shrunk(read_recipe(name), catalog, tmp_path)
    heavy = [term for term in terms_of(read_recipe(name)) if term.endswith(".perceptual")]
    full = read_recipe(name, set=small, drop=heavy)
    report, _ = step(full, catalog)
    order = list(full.phases)
    for term in terms_of(full):
        found, _ = step(read_recipe(name, set=small, drop=[*heavy, term]), catalog)
        so_far = order[: order.index(term.partition(".")[0]) + 1]

        def early(losses, so_far=so_far):
            return {key: value for key, value in losses.items() if key.partition("/")[0] in so_far}

        assert early(found) == early(without(report, term)), term
        assert all(torch.isfinite(torch.tensor(list(found.values()))))
