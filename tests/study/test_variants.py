"""Expansion: from a recipe and arguments to resolved recipes."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_forge.errors import UsageError
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.study.variants import FULL, Row, StudyPlan, expand, rows_of

SYNTHETIC = [name for name in shipped_recipes() if name.endswith("_synthetic")]
TERMS = ["generator.gan", "generator.image", "generator.style", "generator.content", "discriminator.gan"]


def terms_of(recipe):
    return [f"{phase}.{term}" for phase, plan in recipe.phases.items() for term in plan.minimize]


def plan_of(rows, **more):
    return StudyPlan("a_study", rows, FULL, **more)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_every_term_of_every_method_can_be_dropped(name, vocabulary):
    full = read_recipe(name)
    terms = terms_of(full)
    variants = expand(plan_of(rows_of(name, terms, vocabulary=vocabulary)), vocabulary)
    assert [v.name for v in variants] == [FULL, *(f"no-{term}" for term in terms)]
    assert variants[0].recipe.to_data() | {"seed": 0} == full.to_data() | {"seed": 0}
    for variant, term in zip(variants[1:], terms, strict=True):
        assert variant.drops == (term,)
        assert terms_of(variant.recipe) == [other for other in terms if other != term]


@settings(max_examples=10, deadline=None)
@given(
    drops=st.lists(st.sampled_from(TERMS), unique=True, max_size=3),
    weights=st.lists(st.integers(0, 99), unique=True, max_size=3),
)
def test_names_are_unique_and_the_order_is_that_of_the_arguments(drops, weights):
    grids = [f"generator.image.weight={','.join(map(str, weights))}"] if weights else []
    rows = rows_of("munit_synthetic", drops, grids)
    points = [f"generator.image.weight={w}" for w in weights if w != 10]  # 10 is the full objective
    assert list(rows) == [FULL, *(f"no-{d}" for d in drops), *points]
    variants = expand(plan_of(rows, seeds=2))
    assert max(Counter((v.name, v.seed) for v in variants).values()) == 1
    assert [v.name for v in variants] == [*rows, *rows]
    assert variants == expand(plan_of(rows, seeds=2))


def test_terms_that_are_dropped_together():
    variant = expand(plan_of(rows_of("munit_synthetic", ["generator.style+generator.content"])))[1]
    assert variant.name == "no-generator.style+generator.content"
    assert set(variant.recipe.phases["generator"].minimize) == {"gan", "image"}


def test_a_grid_is_the_product_of_its_values():
    rows = rows_of("munit_synthetic", (), ["generator.image.weight=1,100", "data.size=64,96"])
    assert list(rows) == [
        FULL,
        "generator.image.weight=1,data.size=64",
        "generator.image.weight=1,data.size=96",
        "generator.image.weight=100,data.size=64",
        "generator.image.weight=100,data.size=96",
    ]
    last = expand(plan_of(rows))[-1].recipe
    assert last.phases["generator"].minimize["image"] == "100 * l1(reconstruction, source)"
    assert last.data.options["size"] == 96


def test_the_point_that_is_the_full_objective_is_not_trained_twice():
    assert list(rows_of("munit_synthetic", (), ["generator.image.weight=1,10", "data.size=64"])) == [
        FULL,
        "generator.image.weight=1,data.size=64",
    ]


def test_a_weight_may_be_a_schedule_and_differ_by_route():
    cycle = "phases.generator.minimize.cycle={ab: '10 * l1(cycled, source)', ba: '5 * l1(cycled, source)'}"
    grid = "generator.cycle.weight=linear(0, 1, steps=10),2"
    rows = rows_of("munit_synthetic", (), [grid], [cycle])
    full, schedule, number = rows
    assert (full, number) == (FULL, "generator.cycle.weight=2")
    assert schedule.startswith("generator.cycle.weight=linear_0,_1,_steps=10_-")
    first, second = (v.recipe.terms("generator")["cycle"] for v in expand(plan_of(rows, changes=(cycle,)))[1:])
    assert {route: str(term) for route, term in first.items()} == {
        "ab": "linear(0, 1, steps=10) * l1(cycled, source)",
        "ba": "linear(0, 1, steps=10) * l1(cycled, source)",
    }
    assert second["ba"].weight.at(0) == 2


def test_odd_and_long_values_still_make_folders_of_their_own():
    values = ",".join(f"/data/{'x' * 120}/{n}" for n in range(3))
    names = list(rows_of("munit_edge2shoes", (), [f"data.root={values}"]))
    assert len(set(names)) == 4
    assert all("/" not in name and len(name) <= 110 for name in names)
    alike = list(rows_of("munit_edge2shoes", (), ["data.root=a b,a_b,a/b"]))
    assert len(set(alike)) == 4


def test_steps_seeds_and_common_changes_reach_every_variant():
    plan = plan_of(
        rows_of("munit_synthetic", ["generator.style"], (), ["seed=5"]), changes=("seed=5",), steps=7, seeds=3
    )
    variants = expand(plan)
    assert [v.seed for v in variants] == [5, 5, 6, 6, 7, 7]
    assert all(v.recipe.seed == v.seed and v.recipe.steps == 7 and v.recipe.name == v.name for v in variants)


@pytest.mark.parametrize(
    ("drops", "grids", "says"),
    [
        (["generator.stile"], [], "did you mean 'generator.style'"),
        (["generator.style+generator.style"], [], "no such term"),
        ([], ["generator.image.weight"], "KEY=VALUE,VALUE"),
        ([], ["generator.image.weight=1,,2"], "KEY=VALUE,VALUE"),
        ([], ["generator.imag.weight=1"], "generator.image.weight"),
        ([], ["generator.image.weight=heavy"], "'heavy' is not a number"),
    ],
)
def test_mistakes_name_what_was_typed(drops, grids, says):
    with pytest.raises(UsageError) as caught:
        expand(plan_of(rows_of("munit_synthetic", drops, grids)))
    assert says in str(caught.value)


def test_a_rows_mistake_names_the_row():
    with pytest.raises(UsageError, match="row 'odd'"):
        expand(StudyPlan("s", {"odd": Row("munit_synthetic", drops=("generator.nothing",))}, "odd"))
