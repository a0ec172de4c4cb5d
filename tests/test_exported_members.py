"""The public surface is what `__all__` says, and importing it does not import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import i2i_forge


@pytest.mark.parametrize("name", i2i_forge.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(i2i_forge, name).__doc__


def test_all_is_sorted_and_complete():
    assert i2i_forge.__all__ == sorted(i2i_forge.__all__)
    assert set(i2i_forge.__all__) == set(i2i_forge._HOMES)


def test_version_and_unknown_names():
    assert i2i_forge.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        i2i_forge.nothing  # noqa: B018


def test_torch_is_imported_when_a_name_that_needs_it_is_used():
    code = """
import sys, i2i_forge, i2i_forge.recipe, i2i_forge.run, i2i_forge.translate
i2i_forge.load_recipe("munit_synthetic")
print("torch" in sys.modules)
rooms = [sys.modules[f"i2i_forge.{name}"] for name in ("recipe", "run", "translate")]
print(*(room.__getattr__(name) for room in rooms for name in room.__all__))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("False\n<")


def test_a_star_import_gives_exactly_the_public_names():
    names = {}
    exec("from i2i_forge import *", names)
    assert set(names) - {"__builtins__"} == set(i2i_forge.__all__)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(i2i_forge.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"i2i_forge.{home}" for name, home in i2i_forge._HOMES.items()}
