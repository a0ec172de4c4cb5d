"""Recipes that installed packages bring are found by name, and none hides another."""

import importlib
import json
import sys

import pytest

from i2i_forge.cli import main
from i2i_forge.cli.completing import recipes
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.names import find_recipe, named_recipes, shipped_recipes
from i2i_forge.recipe.reading import read_recipe

RECIPE = "# A distance between slopes.\nbase: munit_synthetic\nsteps: 7\n"
IMPORTED = "raise SystemExit('the package was imported')\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of plugins: files in its folder, its name and what its entry point names."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, files, module=None, metadata="Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"):
        package = name.replace("-", "_")
        for file, text in files.items():
            (tmp_path / package / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / package / file).write_text(text)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata.format(name=name))
        (info / "entry_points.txt").write_text(f"[i2i_forge]\n{package} = {module or package}\n")
        importlib.invalidate_caches()
        return tmp_path / package

    yield make
    sys.modules.pop("my_slopes", None)


@pytest.fixture
def forge(capsys):
    """Runs a command: (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return ended.value.code, *capsys.readouterr()

    return call


def others():
    return {name: recipe for name, recipe in named_recipes().items() if recipe.package != "i2i-forge"}


def test_a_recipe_of_a_package_is_found_without_importing_it(install):
    files = {"__init__.py": IMPORTED, "slopes.yaml": RECIPE, "recipes/steep.yaml": RECIPE, "other.yaml": "runs: {}\n"}
    folder = install("my-slopes", files)
    assert {name: recipe.package for name, recipe in others().items()} == {"slopes": "my-slopes", "steep": "my-slopes"}
    recipe = read_recipe("slopes")
    assert (recipe.name, recipe.steps, recipe.trainer) == ("slopes", 7, "munit")
    for name in ("steep", "my-slopes:steep", "My_Slopes:steep"):
        assert find_recipe(name) == folder / "recipes/steep.yaml"
    assert "my_slopes" not in sys.modules


def test_plugins_of_one_package_share_its_recipes(install):
    folder = install(
        "my-slopes", {"one.py": IMPORTED, "two.py": IMPORTED, "slopes.yaml": RECIPE}, module="my_slopes.one"
    )
    points = folder.parent / "my_slopes-1.0.dist-info/entry_points.txt"
    points.write_text(points.read_text() + "two = my_slopes.two:plugin\n")
    assert [recipe.file for recipe in others().values()] == [folder / "slopes.yaml"]


def test_ours_are_found_as_ever(install):
    before = named_recipes()
    install("my-slopes", {"__init__.py": "", "slopes.yaml": RECIPE})
    after = named_recipes()
    assert {name: after[name] for name in before} == before
    assert {name for name, recipe in after.items() if recipe.package == "i2i-forge"} == set(shipped_recipes())
    assert find_recipe("i2i-forge:munit_synthetic").samefile(find_recipe("munit_synthetic"))


def test_a_name_that_two_packages_bring_is_an_error_that_names_both(install, tmp_path, forge):
    ours = find_recipe("munit_synthetic")
    theirs = (
        install("my-slopes", {"__init__.py": "", "munit_synthetic.yaml": "trainer: other\n"}) / "munit_synthetic.yaml"
    )
    with pytest.raises(RecipeError) as caught:
        find_recipe("munit_synthetic")
    assert str(theirs) in caught.value.message and str(ours.resolve()) in caught.value.message
    assert caught.value.fix == "say which: i2i-forge:munit_synthetic or my-slopes:munit_synthetic"
    assert find_recipe("my-slopes:munit_synthetic") == theirs
    assert find_recipe("i2i-forge:munit_synthetic") == ours
    assert {"my-slopes:munit_synthetic", "i2i-forge:munit_synthetic"} <= set(named_recipes())
    assert "munit_synthetic" not in named_recipes()
    (tmp_path / "mine.yaml").write_text("base: munit_synthetic\n")
    code, _, err = forge("check", tmp_path / "mine.yaml")
    assert code == 3 and "mine.yaml:1:1: base: munit_synthetic: several recipes have that name" in err
    (tmp_path / "mine.yaml").write_text("base: i2i-forge:munit_synthetic\n")
    assert forge("check", tmp_path / "mine.yaml")[0] == 0


def test_two_of_one_name_in_one_package_are_told_apart_by_their_paths(install):
    folder = install("my-slopes", {"__init__.py": "", "slopes.yaml": RECIPE, "recipes/slopes.yaml": RECIPE})
    for name in ("slopes", "my-slopes:slopes"):
        with pytest.raises(RecipeError) as caught:
            find_recipe(name)
        assert str(folder / "recipes/slopes.yaml") in caught.value.message and caught.value.fix == "give its path"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("slops", "did you mean 'slopes'?"),
        ("no-such:slopes", "no-such:slopes: there is no such recipe"),
        ("my-slopes:munit_synthetic", "there is no such recipe"),
        ("src/my_slopes/slopes.yaml", "fix: name it without folder and ending: slopes"),
    ],
)
def test_names_that_are_not_there(install, source, says):
    install("my-slopes", {"__init__.py": "", "slopes.yaml": RECIPE})
    with pytest.raises(RecipeError) as caught:
        find_recipe(source)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"files": {}, "module": "vanished"},
        {"files": {}, "module": "my_slopes.vanished"},
        {"files": {}, "module": "?"},
        {"files": {"__init__.py": "", "slopes.yaml": RECIPE}, "metadata": ""},
        {"files": {"alone.py": "", "../alone.py": "", "../slopes.yaml": RECIPE}, "module": "alone"},
    ],
    ids=["no module", "no submodule", "no name", "no metadata", "a module without a folder of its own"],
)
def test_a_package_that_is_damaged_or_gone_brings_no_recipe_and_does_no_harm(install, broken):
    install("my-slopes", **broken)
    assert others() == {}
    assert find_recipe("munit_synthetic").is_file()


def test_forge_recipes_lists_them_and_names_those_that_have_mistakes(install, forge):
    folder = install("my-slopes", {"__init__.py": IMPORTED, "slopes.yaml": RECIPE, "bad_slopes.yaml": "base: [\n"})
    (folder / "latin_slopes.yaml").write_bytes(b"# \xe9t\xe9\nbase: munit_synthetic\n")
    code, out, err = forge("recipes", "slopes", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["name"], row["package"], row["steps"], row["needs"]) == ("slopes", "my-slopes", 7, "")
    assert row["about"] == "A distance between slopes."
    assert "warning: recipe 'bad_slopes' of my-slopes has mistakes: " in err and "'latin_slopes'" in err
    code, out, _ = forge("recipes")
    assert code == 0 and "my-slopes" in out and "munit_synthetic" in out


def test_the_shell_completes_them(install):
    install("my-slopes", {"__init__.py": IMPORTED, "slopes.yaml": RECIPE, "munit_synthetic.yaml": RECIPE})
    offered = {start: [item.value for item in recipes(None, None, start)] for start in ("slo", "munit_synthet", "my-")}
    assert offered == {"slo": ["slopes"], "munit_synthet": [], "my-": ["my-slopes:munit_synthetic"]}
