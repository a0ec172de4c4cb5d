"""A step of ours calls no network more often than the published program's, as its description says."""

import pytest
import torch

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.build import build_trainer
from i2i_forge_benchmarks.methods import calls_of, counted, images_of
from i2i_forge_benchmarks.published_steps import CALLS, STEPS

OURS_LESS = {  # the discriminator's turn needs no styles, and takes the contents from the generator's
    "munit_edge2shoes": {"style_encoder": 2, "content_encoder": 2},
    "unit_edges2shoes": {"encoder": 2},
}


@pytest.mark.parametrize("recipe", CALLS)
def test_no_network_is_called_more_often_than_published(recipe: str) -> None:
    ours, published = calls_of(recipe), CALLS[recipe]
    assert set(ours) == set(published)
    for role, count in published.items():
        assert ours[role] == count - OURS_LESS.get(recipe, {}).get(role, 0), role


@pytest.mark.parametrize("recipe", CALLS)
def test_the_plain_steps_call_what_the_table_says(recipe: str) -> None:
    checked = i2i_forge.load_recipe(recipe)
    trainer = build_trainer(checked, load_plugins().catalog, "meta")
    images = images_of(checked, "meta")
    with torch.device("meta"):
        assert counted(trainer, lambda: STEPS[recipe](trainer.networks, images)) == CALLS[recipe]


def test_all_six_methods_are_there() -> None:
    methods = {i2i_forge.load_recipe(recipe).trainer for recipe in CALLS}
    assert methods == {"munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "augmented_cyclegan"}
    assert list(STEPS) == list(CALLS)
