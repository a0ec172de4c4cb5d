"""Studies as files: what they mean, and every mistake with its place."""

import pytest

from i2i_forge.errors import RecipeError
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.study.study_file import find_study, read_study, shipped_studies
from i2i_forge.study.variants import ClassifierData, expand

GOOD = """\
study: styles
steps: 7
seeds: 2
all: {data.size: 96, "phases.generator.minimize.style": "2 * l1(recovered_style, random_style)"}
runs:
  full: {recipe: munit_synthetic}
  no_style: {recipe: munit_synthetic, drop: [generator.style], set: {data.batch: 1}}
metrics: {lpips-diversity: allpairs, kid: ~}
backbones: {kid: classifier}
classifier: {data: procedural_shoes, set: {seed: 1}}
"""


def written(folder, text):
    file = folder / "study.yaml"
    file.write_text(text)
    return file


def test_a_file_is_a_plan(tmp_path, vocabulary):
    plan = read_study(written(tmp_path, GOOD), changes=["data.workers=0"], vocabulary=vocabulary)
    assert (plan.name, plan.steps, plan.seeds, plan.baseline) == ("styles", 7, 2, "full")
    assert plan.asked.metrics == ("lpips-diversity", "kid")
    assert plan.asked.protocols == ("lpips-diversity=allpairs",)
    assert plan.asked.backbones == ("kid=classifier",)
    assert plan.classifier == ClassifierData("procedural_shoes", ("seed=1",))
    full, no_style = expand(plan)[:2]
    assert full.recipe.data.options["size"] == 96 and full.recipe.data.workers == 0
    assert full.recipe.phases["generator"].minimize["style"].startswith("2 * ")
    assert "style" not in no_style.recipe.phases["generator"].minimize
    assert (full.recipe.data.batch, no_style.recipe.data.batch) == (2, 1)


def test_a_recipe_beside_the_study_is_found(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: munit_synthetic\nsteps: 3\n")
    plan = read_study(written(tmp_path, "study: s\nruns: {one: {recipe: mine.yaml}}\n"))
    assert expand(plan)[0].recipe.steps == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds: 2", "seedz: 2"), ["3:1: seedz: there is no such key; did you mean 'seeds'?"]),
        (("study: styles\n", ""), ["1:1: study: this key is missing"]),
        (("steps: 7", "steps: many"), ["2:1: steps: input should be a valid integer"]),
        (("{recipe: munit_synthetic}", "{recipes: x}"), ["6:10: runs.full.recipes: there is no such key"]),
        (("metrics: {", "metrics: {fod: ~, "), ["metrics.fod: there is no metric 'fod'; did you mean 'fid'?"]),
        (("{kid: classifier}", "{kod: classifier}"), ["9:13: backbones.kod: 'kod' is not measured"]),
        (("metrics:", "baseline: ful\nmetrics:"), ["baseline: there is no run 'ful'; did you mean 'full'?"]),
        (("  full:", "  classifier:"), ["runs.classifier: the classifier's folder is called so"]),
        (("  full:", "  a/b:"), ["runs.a/b"]),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(change, says, tmp_path, vocabulary):
    file = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(RecipeError) as caught:
        read_study(file, vocabulary=vocabulary)
    for text in says:
        assert text in str(caught.value)
    assert str(file) in str(caught.value)


def test_every_recipes_mistake_is_said_at_once(tmp_path, vocabulary):
    text = "study: s\nruns:\n  a: {recipe: nowhere}\n  b: {recipe: munit_synthetic, drop: [generator.stile]}\n"
    with pytest.raises(RecipeError) as caught:
        read_study(written(tmp_path, text), vocabulary=vocabulary)
    assert "3:3: runs.a: nowhere: there is no such recipe" in caught.value.message
    assert "4:3: runs.b: --drop generator.stile" in caught.value.message
    assert "did you mean 'generator.style'" in caught.value.message


def test_a_study_is_told_from_a_recipe(tmp_path):
    assert find_study(str(written(tmp_path, GOOD))) is not None
    assert find_study(str(written(tmp_path, "base: munit_synthetic\n"))) is None
    assert find_study("munit_synthetic") is None
    assert find_study("munit_table1") == shipped_studies()["munit_table1"]


@pytest.mark.parametrize("name", shipped_studies())
def test_a_shipped_study_is_valid_and_is_no_recipe(name, vocabulary):
    file = shipped_studies()[name]
    plan = read_study(file, vocabulary=vocabulary)
    assert plan.name == name and name not in shipped_recipes()
    assert expand(plan, vocabulary)
    first, second, *rest = file.read_text().splitlines()
    assert first.startswith(f"# forge ablate {name}  ") and second.startswith("# ")
    assert max(map(len, (first, second, *rest))) <= 120


def test_the_study_of_table_1_has_its_rows():
    plan = read_study(shipped_studies()["munit_table1"])
    trainers = {v.name: (v.recipe.trainer, v.drops) for v in expand(plan)}
    assert trainers == {
        "unit": ("unit", ()),
        "cyclegan": ("cyclegan", ()),
        "cyclegan_noise": ("cyclegan_noise", ()),
        "munit_no_image": ("munit", ("generator.image",)),
        "munit_no_content": ("munit", ("generator.content",)),
        "munit_no_style": ("munit", ("generator.style",)),
        "munit": ("munit", ()),
        "bicyclegan": ("bicyclegan", ()),
    }
    assert {v.recipe.steps for v in expand(plan)} == {plan.steps}
    assert {v.recipe.data.batch for v in expand(plan)} == {4}
