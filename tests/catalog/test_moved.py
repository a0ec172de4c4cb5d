"""Modules that moved are found by their old names."""

import importlib

import pytest

from i2i_forge.catalog.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_a_moved_module_is_found_by_its_old_name(old):
    new = importlib.import_module(f"i2i_forge.{MOVED[old]}")
    with pytest.warns(DeprecationWarning, match=f"i2i_forge.{old} is i2i_forge.{MOVED[old]} now"):
        module = importlib.reload(importlib.import_module(f"i2i_forge.{old}"))
    public = [name for name in vars(new) if not name.startswith("_")]
    assert public and all(getattr(module, name) is getattr(new, name) for name in public)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_never_there_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"i2i_forge\.nowhere"):
        importlib.import_module("i2i_forge.nowhere")
    with pytest.raises(ModuleNotFoundError, match=r"i2i_forge\.measure\.nowhere"):
        importlib.import_module("i2i_forge.metrics.nowhere")
