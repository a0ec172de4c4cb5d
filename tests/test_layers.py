"""Imports go down only: the ladder of ARCHITECTURE.md, and what plugins may import."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from i2i_forge.plugins import find_plugins, read_vocabulary
from i2i_forge.vocabulary import module_file

ROOT = Path(__file__).parents[1]
RUNGS = [  # lowest first; a module imports only from rungs below its own
    "alarm compiled ema errors files hardware network_calls paths precision progress requiring schedules seeding"
    " stop_requests tensor_files",
    "distributed divergence foreign_files hookspecs image_sizes metrics nn out_of_memory outputs public_data recompute"
    " registry run_lock run_log scaffold terms whole_statistics yaml_source",
    "construct data forward_pass images optimizers schema vocabulary weights yaml_text",
    "check_components method passes plugins",
    "check_names check_shape foreign inference inherited pictures recipe_names sides",
    "lpips trainer",
    "checkpoint recipe tiles trace varying",
    "attribution build recipe_schema run_identity",
    "api cautions codes run_folder streams",
    "mode_classifier run_records translate",
    "export run small_recipe translate_files",
    "evaluation html_report replay",
    "ablate testing",
    "cli",
]
LADDER = [set(names.split()) for names in RUNGS]
RUNG = {name: rung for rung, names in enumerate(LADDER) for name in names}
PLUGIN_MAY_IMPORT = {
    "__future__", "abc", "collections", "colorsys", "csv", "dataclasses", "functools", "importlib", "itertools", "math",
    "os", "pathlib", "re", "secrets", "typing", "i2i_forge", "PIL", "kornia", "numpy", "torch", "torchvision", "wandb",
}  # fmt: skip


def modules() -> list[tuple[str, Path]]:
    files = sorted((ROOT / "i2i_forge").rglob("*.py"))
    return [(f.relative_to(ROOT / "i2i_forge").parts[0].removesuffix(".py"), f) for f in files if "__" not in f.stem]


def imported(file: Path, *, at_run_time: bool = True) -> set[str]:
    """The modules a file imports, those for type checking only left out."""
    tree = ast.parse(file.read_text())
    typing_only = {
        inner for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }  # fmt: skip
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only and at_run_time:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(("home", "file"), modules(), ids=lambda value: getattr(value, "name", None))
def test_imports_go_down_only(home: str, file: Path) -> None:
    for name in imported(file):
        parts = name.split(".")
        if parts[0] != "i2i_forge" or len(parts) < 2 or parts[1] not in RUNG or parts[1] == home:
            continue
        assert RUNG[parts[1]] < RUNG[home], f"{file.name} imports {name}, which is not below it"


def test_every_module_has_its_rung() -> None:
    assert {home for home, _ in modules()} == set(RUNG)


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda f: f.name)
def test_plugins_import_the_framework_and_never_each_other(file: Path) -> None:
    own = "i2i_forge_plugins." + file.relative_to(ROOT / "plugins").parts[0]
    for name in imported(file, at_run_time=False):
        assert name.partition(".")[0] in PLUGIN_MAY_IMPORT or name.startswith(own), f"{file.name} imports {name}"


def public_modules() -> set[str]:
    """The modules that docs/plugins.md lets authors import."""
    return set(re.findall(r"^\| `(i2i_forge[\w.]*)` \|", (ROOT / "docs/plugins.md").read_text(), re.MULTILINE))


def test_public_modules_are_there() -> None:
    assert {"i2i_forge", "i2i_forge.data", "i2i_forge.errors", "i2i_forge.nn"} <= public_modules()
    for name in public_modules():
        assert importlib.import_module(name).__doc__


FOR_AUTHORS = [
    *sorted((ROOT / "i2i_forge/scaffold/templates").glob("*.py.txt")),
    *sorted((ROOT / "tests/external_plugin").rglob("*.py")),
    ROOT / "docs/plugins.md", ROOT / "README.md",
]  # fmt: skip


@pytest.mark.parametrize("file", FOR_AUTHORS, ids=lambda f: f.name)
def test_what_authors_copy_imports_and_names_public_modules_only(file: Path) -> None:
    text = file.read_text()
    named = re.findall(r"^(?:from|import) (i2i_forge[\w.]*)", text, re.MULTILINE)
    named += re.findall(r"`(i2i_forge\.[a-z_]+)`", text) if file.name.endswith(".py.txt") else []
    assert set(named) <= public_modules()


# ---- methods -------------------------------------------------------------------------------------------------------

METHODS = {c.name: c for c in read_vocabulary(find_plugins()).components if c.kind == "trainers"}
METHOD_FILES = sorted({module_file(c.origin.rpartition(".")[0]) for c in METHODS.values()})


def test_all_methods_are_there() -> None:
    assert {"munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "augmented_cyclegan"} <= set(METHODS)


@pytest.mark.parametrize("file", METHOD_FILES, ids=lambda f: f.name)
def test_a_method_is_one_short_file_that_imports_no_other(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 150
    assert file.parent == ROOT / "plugins"
    assert not [name for name in imported(file, at_run_time=False) if name.startswith("i2i_forge_plugins")]


@pytest.mark.parametrize("file", [f for _, f in modules()], ids=lambda f: f.name)
def test_no_method_is_named_in_the_machinery(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    identifiers = [getattr(n, "id", getattr(n, "attr", getattr(n, "name", getattr(n, "arg", "")))) for n in nodes]
    words = {w for i in identifiers if isinstance(i, str) for w in re.findall("[a-z0-9]+", i.lower())}
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert not words & (set(METHODS) - {"unit"})  # a word of its own: of measurement
    assert not texts & set(METHODS)
    for method in set(METHODS) - {"unit"}:
        assert not [word for word in words if method in word]


def test_every_package_is_installed() -> None:
    """Setuptools takes only what is listed; a forgotten folder is missing from the wheel alone."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {"i2i_forge": "i2i_forge", "plugins": "i2i_forge_plugins", "recipes": "i2i_forge_recipes",
               "benchmarks": "i2i_forge_benchmarks"}  # fmt: skip
    found = {
        ".".join([package, *file.parent.relative_to(ROOT / folder).parts])
        for folder, package in folders.items()
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in found if not name.startswith("i2i_forge_recipes")} <= listed
