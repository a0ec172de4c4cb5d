"""Recipes: bases, changes, every mistake at once with its place, and the way back to YAML."""

import pytest

from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.recipe.reading import read_recipe

BASE = """\
trainer: munit
steps: 10
data: {use: procedural_shoes, size: 64}
networks:
  content_encoder: {use: residual_content, per: [a, b], width: 8}
  style_encoder: {use: pooled_style, per: [a, b], width: 8}
  decoder: {use: adain_residual, per: [a, b], width: 8}
  discriminator: {use: multiscale_patch, per: [a, b], width: 8}
optimizers:
  default: {use: adam, lr: 1e-4}
phases:
  discriminator:
    trains: [discriminator]
    minimize: {gan: "lsgan_discriminator(real_logits, fake_logits)"}
  generator:
    trains: [content_encoder, style_encoder, decoder]
    minimize:
      gan: lsgan_generator(fake_logits)
      image: 10 * l1(reconstruction, source)
"""


@pytest.fixture
def write(tmp_path):
    def writer(text, name="r.yaml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return writer


@pytest.fixture
def mistakes(write, vocabulary):
    """The lines of the error that a recipe gives, without the path of its folder."""

    def read(text, **changes):
        file = write(text)
        with pytest.raises(RecipeError) as caught:
            read_recipe(file, vocabulary=vocabulary, **changes)
        assert max(map(len, caught.value.message.splitlines())) < 450
        return [line.replace(f"{file.parent}/", "") for line in caught.value.message.splitlines()]

    return read


def test_values_are_those_of_yaml_1_2(write):
    recipe = read_recipe(write(BASE))
    assert recipe.optimizers["default"].lr == 1e-4 and recipe.precision == "fp32" and recipe.seed == 0


def test_a_base_is_changed_and_tilde_removes(write):
    write(BASE, "base.yaml")
    child = write(
        "base: base.yaml\nsteps: 20\nphases: {generator: {minimize: {image: ~, style: 'l1(style, style)'}}}\n"
    )
    recipe = read_recipe(child)
    assert recipe.steps == 20
    assert list(recipe.phases["generator"].minimize) == ["gan", "style"]
    assert recipe.origins["steps",].endswith("r.yaml:2:1") and recipe.origins["trainer",].endswith("base.yaml:1:1")


def test_bases_that_cannot_be(write):
    for text, part in (
        ("base: r.yaml\n", "circle"),
        ("base: nothing.yaml\n", "no such recipe"),
        ("base: [x]\n", "one"),
    ):
        with pytest.raises(RecipeError) as caught:
            read_recipe(write(text))
        assert part in str(caught.value) and "r.yaml" in str(caught.value)
    for depth in range(12):
        write(f"base: {depth + 1}.yaml\n", f"{depth}.yaml")
    with pytest.raises(RecipeError, match="more than 10"):
        read_recipe(write("base: 0.yaml\n"))


@pytest.mark.parametrize(
    ("change", "keys", "value"),
    [
        ("steps=5", ("steps",), 5),
        ("optimizers.default.lr=2e-4", ("optimizers", "default", "lr"), 2e-4),
        ("data.root=no", ("data", "root"), "no"),
        ("data.size=[64, 96]", ("data", "size"), [64, 96]),
        ("run.keep=7", ("run", "keep"), 7),
        ("phases.generator.minimize.cycle=10 * l1(cycled, source)", ("phases", "generator", "minimize", "cycle"),
         "10 * l1(cycled, source)"),
    ],
)  # fmt: skip
def test_set(write, change, keys, value):
    data = read_recipe(write(BASE), set=[change]).to_data()
    for key in keys:
        data = data[key]
    assert data == value and type(data) is type(value)


def test_drop_and_set_to_tilde(write):
    for change in ({"drop": ["generator.image"]}, {"set": ["phases.generator.minimize.image=~"]}):
        assert list(read_recipe(write(BASE), **change).phases["generator"].minimize) == ["gan"]
    assert read_recipe(write(BASE), drop=["discriminator.gan"]).phases["discriminator"].minimize == {}
    with pytest.raises(UsageError, match=r"did you mean 'generator\.image'"):
        read_recipe(write(BASE), drop=["generator.imgae"])


REPLACED = [  # what is replaced, by what, and the place and words of the mistake
    ("steps: 10", "setps: 10", "r.yaml:2:1: setps: there is no such key; did you mean 'steps'"),
    ("steps: 10", "steps: ten", "r.yaml:2:1: steps: should be a whole number, not 'ten'"),
    ("steps: 10", "steps: 0", "r.yaml:2:1: steps: should be greater than or equal to 1, not 0"),
    ("steps: 10", "steps: 10\nrun: {kep: 3}", "r.yaml:3:7: run.kep: there is no such key; did you mean 'keep'"),
    ("steps: 10", "steps: 10\nprecision: fp16", "r.yaml:3:1: precision: should be bf16 (numbers above 65504 overflow"),
    ("trainer: munit", "trainer: munti", "r.yaml:1:1: trainer: there is no 'munti' among the trainers; did you mean"),
    ("use: pooled_style", "use: pool_style", "r.yaml:6:19: networks.style_encoder.use: there is no 'pool_style'"),
    ("  style_encoder: {", "  style_encodr: {", "r.yaml:6:3: networks.style_encodr: munit has no such role; did you"),
    ("use: pooled_style, per: [a, b], width", "use: pooled_style, per: [a, b], widht",
     "r.yaml:6:51: networks.style_encoder.widht: pooled_style has no option 'widht'; did you mean 'width'"),
    ("size: 64}", "size: big}", "r.yaml:3:31: data.size: procedural_shoes wants int here, not 'big'"),
    ("size: 64}", "sise: 64}", "r.yaml:3:31: data.sise: procedural_shoes has no option 'sise'; did you mean 'size'"),
    ("l1(reconstruction, source)", "l1(reconstrution, source)",
     "r.yaml:19:7: phases.generator.minimize.image: munit has no tensor 'reconstrution'; did you mean"),
    ("l1(reconstruction, source)", "l1(source)", "minimize.image: l1 takes 2 arguments, not 1"),
    ("l1(reconstruction, source)", "l7(reconstruction, source)", "minimize.image: there is no 'l7' among the losses"),
    ("10 * l1(reconstruction, source)", "10 * l1(", "minimize.image: cannot read '10 * l1('"),
    ("10 * l1(reconstruction, source)", "{ax: 'l1(source, source)'}", "minimize.image.ax: munit has no route 'ax'"),
    ("trains: [discriminator]", "trains: [discrimnator]", "phases.discriminator.trains.0: there is no network"),
    ("trains: [discriminator]", "stream: x\n    trains: [discriminator]", "r.yaml:13:5: phases.discriminator.stream: "),
    ("trains: [discriminator]", "reuse: {translation: genrator}\n    trains: [discriminator]",
     "phases.discriminator.reuse.translation: there is no other phase 'genrator'; did you mean 'generator'"),
    ("lr: 1e-4}", "lr: -1}", "r.yaml:10:24: optimizers.default.lr: should be greater than 0, not -1"),
    ("lr: 1e-4}", "lr: 1e-4, schedule: setp(3)}", "optimizers.default.schedule: there is no schedule 'setp'; did you"),
    ("  default: {", "  default: {roles: [decoder], ", "no entry takes 'content_encoder', 'discriminator', "),
    ("lr: 1e-4}", "lr: 1e-4}\n  two: {lr: 1, roles: [decoder]}\n  three: {lr: 1, roles: [decoder]}",
     "optimizers.three.roles.0: 'decoder' is already in optimizers.two"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REPLACED)
def test_a_mistake_has_its_place_and_its_remedy(mistakes, old, new, expected):
    assert old in BASE
    lines = mistakes(BASE.replace(old, new, 1))
    assert any(expected in line for line in lines), lines
    assert len(lines) <= 5  # and the way to mend them in one more


def test_all_mistakes_are_reported_at_once(mistakes):
    chosen = [REPLACED[i] for i in (0, 5, 8, 10, 11, 16, 19)]
    text = BASE
    for old, new, _ in chosen:
        text = text.replace(old, new, 1)
    found = " ".join(mistakes(text, set=["run.sample_evry=3"]))
    # without a known trainer, what only the trainer knows (its roles and tensors) cannot be judged
    for word in ("setps", "munti", "sise", "discrimnator", "lr: should be", "--set run.sample_evry=3: run.sample_evry"):
        assert word in found


def test_the_exact_places_of_many_mistakes_in_the_order_of_the_file(mistakes):
    text = """\
trainer: munit
setps: 10
steps: -1
data: {use: procedural_shoes, sise: 64}
networks:
  content_encoder: {use: residual_content, per: [a, c], width: wide}
  style_encoder: {use: pooled_style, per: [a, b]}
  decoder: {use: adain_residual, per: [a, b]}
  discriminator: {use: multiscale_patch, per: [a, b]}
optimizers:
  default: {lr: 1e-4, schedule: warmup(0)}
  other: {lr: 1e-4, roles: [decoder, decoder]}
phases:
  discriminator:
    trains: [discriminator, nobody]
    evry: 2
    minimize: {gan: "lsgan_discriminator(real_logits)"}
  generator:
    trains: [content_encoder, style_encoder, decoder]
    reuse: {translation: nowhere}
    stream: paired
    minimize:
      gan: {ab: lsgan_generator(fake_logits), bc: lsgan_generator(fake_logits)}
      image: 10 * l1(reconstuction, source)
run:
  keep: no
"""
    places = [line.split(": ")[0] + " " + line.split(": ")[1] for line in mistakes(text)]
    assert places == [
        "r.yaml:2:1 setps",
        "r.yaml:3:1 steps",
        "r.yaml:4:31 data.sise",
        "r.yaml:6:53 networks.content_encoder.per.1",
        "r.yaml:6:57 networks.content_encoder.width",
        "r.yaml:11:23 optimizers.default.schedule",
        "r.yaml:12:38 optimizers.other.roles.1",
        "r.yaml:15:29 phases.discriminator.trains.1",
        "r.yaml:16:5 phases.discriminator.evry",
        "r.yaml:17:16 phases.discriminator.minimize.gan",
        "r.yaml:20:13 phases.generator.reuse.translation",
        "r.yaml:21:5 phases.generator.stream",
        "r.yaml:23:47 phases.generator.minimize.gan.bc",
        "r.yaml:24:7 phases.generator.minimize.image",
        "r.yaml:26:3 run.keep",
    ]


def test_a_mistake_in_a_base_has_the_place_in_the_base(mistakes, write):
    write(BASE.replace("width: 8", "widht: 8", 1), "base.yaml")
    (line,) = mistakes("base: base.yaml\n")
    assert line.startswith("base.yaml:5:57: networks.content_encoder.widht: ")
    (line,) = mistakes("base: base.yaml\nnetworks: {content_encoder: {widht: 9}}\n")
    assert line.startswith("r.yaml:2:30: networks.content_encoder.widht: ")


def test_a_name_is_a_shipped_recipe_even_beside_a_run_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "munit_synthetic").mkdir()
    assert read_recipe("munit_synthetic").name == "munit_synthetic"
    (tmp_path / "mine").mkdir()
    with pytest.raises(RecipeError, match="mine: it is a folder"):
        read_recipe("mine")


@pytest.mark.parametrize("source", ["", "x" * 300, "a/" * 3000, "nul\0", "/dev/null/x", "no such", "."])
def test_names_that_are_no_recipe(source):
    with pytest.raises(RecipeError) as caught:
        read_recipe(source)
    assert caught.value.fix


@pytest.mark.parametrize("base", ["''", "3", "true", "[a]", "{a: b}", ".", "/", "/dev/zero", "nowhere", "x" * 300])
def test_a_base_that_is_no_recipe_has_its_place_or_its_file(write, base):
    with pytest.raises(RecipeError) as caught:
        read_recipe(write(f"steps: 3\nbase: {base}\n"))
    assert "r.yaml:2:1: base: " in str(caught.value) or str(caught.value).startswith("/dev/zero")


def test_a_base_may_be_a_shipped_recipe_or_lie_elsewhere_and_bases_may_have_bases(tmp_path, write):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "top.yaml").write_text("base: ../middle.yaml\nsteps: 3\n")
    write("base: munit_edge2shoes\nsteps: 2\nseed: 7\nrun: ~\n", "middle.yaml")
    recipe = read_recipe(tmp_path / "sub" / "top.yaml")
    assert (recipe.steps, recipe.seed, recipe.run.log_every, recipe.name) == (3, 7, 50, "top")
    assert recipe.origins["seed",].endswith("middle.yaml:3:1")
    assert recipe.origins["trainer",].endswith("munit_edge2shoes.yaml:3:1")
    assert not any(key[:1] == ("run",) for key in recipe.origins)


def test_a_mapping_is_merged_and_a_list_is_replaced(write):
    write(BASE, "base.yaml")
    child = "base: base.yaml\ndata: {size: [64, 96]}\nphases: {generator: {trains: [decoder]}}\n"
    recipe = read_recipe(write(child))
    assert recipe.data.options == {"size": [64, 96]} and recipe.data.use == "procedural_shoes"
    assert recipe.phases["generator"].trains == ["decoder"]
    assert recipe.origins["phases", "generator", "trains", 0].endswith("r.yaml:3:31")
    assert ("phases", "generator", "trains", 1) not in recipe.origins


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["base=munit_edge2shoes"], "--set base=munit_edge2shoes: the base is not a value"),
        (["data.sise=~"], "--set data.sise=~: there is no such key to remove\nfix: did you mean 'size'"),
        (["nothing.at.all=~"], "there is no such key to remove"),
        (["seed=3", "seed.x=3"], "--set seed.x=3: seed is 3, it has no keys of its own"),
        (["phases.generator.trains.0=x"], "it has no keys of its own"),
        (["phases.generator.minimize.image.ab=l1(style, style)"], "it has no keys of its own"),
        *(([change], "this is not KEY=VALUE") for change in ("", "steps", "=3", "a..b=1")),
    ],
)
def test_changes_that_make_no_sense(write, changes, words):
    with pytest.raises(UsageError) as caught:
        read_recipe(write(BASE), set=changes)
    assert words in str(caught.value)


def test_later_changes_win_and_new_keys_may_be_nested(write):
    changes = ["steps=3", "steps=4", "data.pair.use=paired_folders", "data.pair.root=x", "phases.generator.stream=pair"]
    recipe = read_recipe(write(BASE), set=changes)
    assert recipe.steps == 4 and recipe.data.streams["pair"].options == {"root": "x"}
    assert recipe.origins["data", "pair", "root"] == "--set data.pair.root=x"


@pytest.mark.parametrize(
    "broken", ["phases: 3", "phases: [1]", "phases: {generator: 3}", "phases: {g: {minimize: ab}}"]
)
def test_drop_on_a_recipe_without_proper_phases(write, broken):
    with pytest.raises(UsageError, match="the recipe has no such term"):
        read_recipe(write(broken), drop=["g.a"])


def test_the_order_of_set_and_drop(write):
    recipe = read_recipe(write(BASE), set=["phases.generator.minimize.x=l1(style, style)"], drop=["generator.x"])
    assert "x" not in recipe.phases["generator"].minimize
    with pytest.raises(UsageError):
        read_recipe(write(BASE), drop=["generator.image", "generator.image"])


def test_terms_by_route(write):
    text = BASE.replace("10 * l1(reconstruction, source)", "{ab: '10 * l1(style, style)', ba: '5 * l1(style, style)'}")
    terms = read_recipe(write(text)).terms("generator")
    assert list(terms["gan"]) == ["*"]
    assert {route: term.weight.at(0) for route, term in terms["image"].items()} == {"ab": 10, "ba": 5}


def test_a_term_may_have_any_name(write):
    """Even one that pydantic uses for the members of a union."""
    text = BASE.replace("      image:", "      str:").replace("l1(reconstruction, source)", "l1(")
    with pytest.raises(RecipeError, match=r"r\.yaml:19:7: phases\.generator\.minimize\.str: cannot read"):
        read_recipe(write(text))
    with pytest.raises(RecipeError, match=r"r\.yaml:19:7: phases\.generator\.minimize\.str: should be text, not 3"):
        read_recipe(write(text.replace("10 * l1(", "3")))


def test_a_recipe_is_frozen(write):
    with pytest.raises(ValueError, match="frozen"):
        read_recipe(write(BASE)).steps = 3


def test_a_term_that_a_brace_cuts_at_its_comma_is_told_to_be_quoted(write):
    for routes in ("{ab: 10 * l1(style, style)}", "{ab: l1(style, style), ba: l1(style, style)}"):
        file = write(BASE.replace("10 * l1(reconstruction, source)", routes))
        with pytest.raises(RecipeError, match="quote"):
            read_recipe(file)
