"""What stands in the columns of a run's sample grids."""

import pytest
from loaded import CATALOG, HOST
from shrink import tiny_networks

from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.loop import Run
from i2i_forge_plugins.sample_grids import _columns

SMALL = ("data.count=4", "data.test_count=40", "run.sample_inputs=4", "run.sample_styles=1")
OF_MUNIT = ["input", "reconstruction", "style 0", "reference", "its style"]


@pytest.mark.parametrize(
    ("recipe", "changes", "labels"),
    [
        ("pix2pix_synthetic", (), ["input", "translation", "truth"]),
        ("bicyclegan_synthetic", (), ["input", "reconstruction", "style 0", "truth", "its style"]),
        ("munit_synthetic", ("data.paired=true",), [name.replace("reference", "truth") for name in OF_MUNIT]),
        ("munit_synthetic", (), OF_MUNIT),
        ("cyclegan_synthetic", (), ["input", "translation"]),
    ],
)
def test_pairs_have_the_truth_beside_the_translation(recipe, changes, labels, tmp_path):
    shipped = read_recipe(recipe)
    small = dict.fromkeys(tiny_networks(shipped, CATALOG, CATALOG.trainers.get(shipped.trainer).roles))
    run = Run(read_recipe(recipe, set=[*small, *SMALL, *changes]), HOST, tmp_path)
    images = run.test_batch(4)
    columns = _columns(run, images["a"], images["b"], "ab")
    assert list(columns) == labels
    truth = columns.get("truth", columns.get("reference", images["b"]))
    assert all(shown.equal(real) for shown, real in zip(truth, images["b"], strict=True))
    every_tenth = [run.test_sources[0].example(index, None)["a"] for index in (0, 10, 20, 30)]
    assert all(shown.equal(real) for shown, real in zip(columns["input"], every_tenth, strict=True))
