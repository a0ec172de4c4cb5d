"""Imports go down only: the ladder of ARCHITECTURE.md, and what plugins may import."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

from import_graph import arrows, deepest, imported, modules, room
from loaded import VOCABULARY

from i2i_forge.catalog.signatures import module_file

ROOT = Path(__file__).parents[1]
ROOMS = [
    "system", "catalog", "recipe", "nn", "data", "engine", "run", "translate", "measure", "study", "testing", "cli"
]  # fmt: skip
SIDE_BY_SIDE = {"nn", "data"}
PLUGIN_MAY_IMPORT = {
    "__future__", "abc", "collections", "colorsys", "contextlib", "csv", "dataclasses", "fcntl", "functools", "gzip",
    "hashlib", "http", "importlib", "io", "itertools", "json", "logging", "lzma", "math", "os", "pathlib", "re",
    "secrets", "struct", "tarfile", "threading", "time", "typing", "urllib", "warnings", "xml", "zipfile", "zlib",
    "PIL", "imagecodecs", "kornia", "nibabel", "numpy", "pydicom", "tifffile", "torch", "torchvision", "wandb",
}  # fmt: skip
SHARED = "i2i_forge_plugins.backbones"  # no plugin: networks with published weights, of losses and metrics


METHODS = {c.name: c for c in VOCABULARY.components if c.kind == "trainers"}
# The modules that docs/plugins.md lets authors import.
PUBLIC = set(re.findall(r"^\| `(i2i_forge[\w.]*)` \|", (ROOT / "docs/plugins.md").read_text(), re.MULTILINE))


def public_names(module: str) -> set[str]:
    found = importlib.import_module(module)
    return set(getattr(found, "__all__", [name for name in vars(found) if not name.startswith("_")]))


def test_a_room_imports_from_rooms_above_it_only() -> None:
    for home, others in arrows().items():
        for other, line in others.items():
            if home in ROOMS and other in ROOMS:
                assert ROOMS.index(other) < ROOMS.index(home) and {home, other} != SIDE_BY_SIDE, line
    assert {room(module) for module in modules() if "." in module} <= {*ROOMS, "__main__", "errors"}
    assert len(deepest()) <= 15, deepest()


def test_plugins_import_the_framework_alone_and_authors_public_modules_alone() -> None:
    for file in sorted((ROOT / "plugins").rglob("*.py")):
        own = "i2i_forge_plugins." + file.relative_to(ROOT / "plugins").parts[0]
        for name in imported(file):
            package, _, last = name.rpartition(".")
            is_public = name in PUBLIC or (package in PUBLIC and last in public_names(package))
            is_other = name.partition(".")[0] in PLUGIN_MAY_IMPORT or name.startswith((own, SHARED))
            assert is_public or is_other, f"{file} imports {name}"
    assert {"i2i_forge", "i2i_forge.data", "i2i_forge.errors", "i2i_forge.nn"} <= PUBLIC
    assert all(importlib.import_module(name).__doc__ for name in PUBLIC)
    templates = (ROOT / "i2i_forge/testing/scaffold/templates").glob("*.py.txt")
    package = (ROOT / "tests/external_plugin").rglob("*.py")
    for file in (*templates, *package, ROOT / "docs/plugins.md", ROOT / "README.md"):
        text = file.read_text()
        named = re.findall(r"^(?:from|import) (i2i_forge[\w.]*)", text, re.MULTILINE)
        named += re.findall(r"`(i2i_forge\.[a-z_]+)`", text) if file.name.endswith(".py.txt") else []
        assert set(named) <= PUBLIC, f"{file} names {set(named) - PUBLIC}"


def test_a_method_is_one_short_file_that_imports_no_other() -> None:
    assert {"munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "augmented_cyclegan"} <= set(METHODS)
    for file in {module_file(c.origin.rpartition(".")[0]) for c in METHODS.values()}:
        assert len(file.read_text().splitlines()) < 150, file
        assert file.parent == ROOT / "plugins"
        assert not [name for name in imported(file) if name.startswith("i2i_forge_plugins")], file


def test_no_method_is_named_in_the_machinery() -> None:
    for file in (ROOT / "i2i_forge").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        identifiers = [getattr(n, "id", getattr(n, "attr", getattr(n, "name", getattr(n, "arg", "")))) for n in nodes]
        words = {w for i in identifiers if isinstance(i, str) for w in re.findall("[a-z0-9]+", i.lower())}
        texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        assert not texts & set(METHODS), file
        for method in set(METHODS) - {"unit"}:  # a word of its own: of measurement
            assert not [word for word in words if method in word], file


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
