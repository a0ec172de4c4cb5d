"""Recipes: bases, changes, every mistake at once with its place, and the way back to YAML."""

import random

import pytest

from i2i_forge.api import load_recipe
from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.plugins import find_plugins, read_vocabulary
from i2i_forge.recipe import read_recipe, shipped_recipes

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


@pytest.fixture(scope="module")
def vocabulary():
    return read_vocabulary(find_plugins())


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
        return [line.replace(f"{file.parent}/", "") for line in caught.value.message.splitlines()]

    return read


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid_and_come_back_from_yaml(name, write):
    recipe = load_recipe(name)
    again = read_recipe(write(recipe.to_yaml()))
    assert again.to_data() == recipe.to_data()


def test_values_are_those_of_yaml_1_2(write):
    recipe = read_recipe(write(BASE))
    assert recipe.optimizers["default"].lr == 1e-4 and recipe.precision == "fp32" and recipe.seed == 0


@pytest.mark.parametrize("text", ["no", "1e-4", "12:30", "a # b", "[x", "~", "010", "- a", "{a", "é", " x ", "*a", "'"])
def test_awkward_text_survives_the_way_to_yaml_and_back(write, text):
    recipe = read_recipe(write(BASE), set=["data.root=x"])
    changed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": text})})
    again = read_recipe(write(changed.to_yaml(), "again.yaml"))
    assert again.data.options["root"] == text


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
    for text, part in [
        ("base: r.yaml\n", "circle"),
        ("base: nothing.yaml\n", "no such recipe"),
        ("base: [x]\n", "one"),
    ]:
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
        ("phases.generator.minimize.image.ab=l1(style, style)", ("phases",), None),
    ],
)  # fmt: skip
def test_set(write, change, keys, value):
    if value is None:
        with pytest.raises(UsageError, match="has no keys of its own"):
            read_recipe(write(BASE), set=[change])
        return
    data = read_recipe(write(BASE), set=[change]).to_data()
    for key in keys:
        data = data[key]
    assert data == value and type(data) is type(value)


def test_set_tilde_returns_to_the_default(write):
    assert (
        "image" not in read_recipe(write(BASE), set=["phases.generator.minimize.image=~"]).phases["generator"].minimize
    )


@pytest.mark.parametrize("change", ["steps", "=3", "a..b=1"])
def test_set_that_cannot_be_read(write, change):
    with pytest.raises(UsageError, match="not KEY=VALUE"):
        read_recipe(write(BASE), set=[change])


def test_drop(write):
    assert list(read_recipe(write(BASE), drop=["generator.image"]).phases["generator"].minimize) == ["gan"]
    assert read_recipe(write(BASE), drop=["discriminator.gan"]).phases["discriminator"].minimize == {}
    with pytest.raises(UsageError, match=r"did you mean 'generator\.image'"):
        read_recipe(write(BASE), drop=["generator.imgae"])


REPLACED = [  # what is replaced, by what, and the place and words of the mistake
    ("steps: 10", "setps: 10", "r.yaml:2:1: setps: there is no such key; did you mean 'steps'"),
    ("steps: 10", "steps: ten", "r.yaml:2:1: steps: should be a whole number, not 'ten'"),
    ("steps: 10", "steps: 0", "r.yaml:2:1: steps: should be greater than or equal to 1, not 0"),
    ("steps: 10", "steps: 10\nrun: {kep: 3}", "r.yaml:3:7: run.kep: there is no such key; did you mean 'keep'"),
    ("steps: 10", "steps: 10\nprecision: fp16", "r.yaml:3:1: precision: should be 'fp32' or 'bf16', not 'fp16'"),
    ("trainer: munit", "trainer: munti", "r.yaml:1:1: trainer: there is no 'munti' among the trainers; did you mean"),
    ("use: pooled_style", "use: pool_style", "r.yaml:6:19: networks.style_encoder.use: there is no 'pool_style'"),
    ("  style_encoder: {", "  style_encodr: {", "r.yaml:6:3: networks.style_encodr: munit has no such role; did you"),
    ("use: pooled_style, per: [a, b], width", "use: pooled_style, per: [a, b], widht",
     "r.yaml:6:51: networks.style_encoder.widht: pooled_style has no option 'widht'; did you mean 'width'"),
    ("size: 64}", "size: big}", "r.yaml:3:31: data.size: procedural_shoes wants int here, not 'big'"),
    ("size: 64}", "sise: 64}", "r.yaml:3:31: data.sise: procedural_shoes has no option 'sise'; did you mean 'size'"),
    ("l1(reconstruction, source)", "l1(reconstrution, source)",
     "r.yaml:19:7: phases.generator.minimize.image: munit has no tensor 'reconstrution'; did you mean"),
    ("l1(reconstruction, source)", "l1(source)", "minimize.image: l1 takes 2 tensors, not 1"),
    ("l1(reconstruction, source)", "l7(reconstruction, source)", "minimize.image: there is no 'l7' among the losses"),
    ("10 * l1(reconstruction, source)", "10 * l1(", "minimize.image: cannot read '10 * l1('"),
    ("10 * l1(reconstruction, source)", "{ax: 'l1(source, source)'}", "minimize.image.ax: munit has no route 'ax'"),
    ("trains: [discriminator]", "trains: [discrimnator]", "phases.discriminator.trains.0: there is no network"),
    ("trains: [discriminator]", "stream: x\n    trains: [discriminator]", "r.yaml:13:5: phases.discriminator.stream: "),
    ("trains: [discriminator]", "reuse: {translation: genrator}\n    trains: [discriminator]",
     "phases.discriminator.reuse.translation: there is no other phase 'genrator'; did you mean 'generator'"),
    ("lr: 1e-4}", "lr: -1}", "r.yaml:10:24: optimizers.default.lr: should be greater than 0, not -1"),
    ("lr: 1e-4}", "lr: 1e-4, schedule: setp(3)}", "optimizers.default.schedule: there is no schedule 'setp'; did you"),
    ("  default: {", "  default: {roles: [decoder], ", "no entry takes 'content_encoder', 'discriminator', 'style_encoder', which a"),
    ("lr: 1e-4}", "lr: 1e-4}\n  two: {lr: 1, roles: [decoder]}\n  three: {lr: 1, roles: [decoder]}",
     "optimizers.three.roles.0: 'decoder' is already in optimizers.two"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REPLACED)
def test_a_mistake_has_its_place_and_its_remedy(mistakes, old, new, expected):
    assert old in BASE
    lines = mistakes(BASE.replace(old, new, 1))
    assert any(expected in line for line in lines), lines
    assert len(lines) <= 5


def test_all_mistakes_are_reported_at_once(mistakes):
    chosen = [REPLACED[i] for i in (0, 5, 8, 10, 11, 16, 19)]
    text = BASE
    for old, new, _ in chosen:
        text = text.replace(old, new, 1)
    found = " ".join(mistakes(text, set=["run.sample_evry=3"]))
    # without a known trainer, what only the trainer knows (its roles and tensors) cannot be judged
    for word in ("setps", "munti", "sise", "discrimnator", "lr: should be", "--set run.sample_evry=3: run.sample_evry"):
        assert word in found


def test_two_hundred_mutations_are_refused_or_valid(write, vocabulary):
    text = shipped_recipes()["munit_edge2shoes"].read_text()
    draw = random.Random(0)
    refused = 0
    for number in range(200):
        mutated = mutate(text, draw)
        try:
            recipe = read_recipe(write(mutated, f"{number}.yaml"), vocabulary=vocabulary)
            assert recipe.to_yaml()
        except RecipeError as error:
            refused += 1
            assert f"{number}.yaml:" in str(error) and "Traceback" not in str(error)
    assert refused > 100


def mutate(text, draw):
    lines = text.splitlines()
    at = draw.randrange(3, len(lines))
    match draw.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at] = lines[at].replace(":", "x:", 1)
        case 3:
            words = lines[at].split(" ")
            words[draw.randrange(len(words))] = draw.choice(["[1, 2]", "true", "none", "-1", "{a: b}", "10", "*"])
            lines[at] = " ".join(words)
        case 4:
            place = draw.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + draw.choice("abc:{}[],#'\"&*!%\t ") + lines[at][place:]
    return "\n".join(lines) + "\n"
