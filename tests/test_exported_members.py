"""The public surface is what `__all__` says, and importing it does not import torch."""

import subprocess
import sys

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


def test_importing_does_not_import_torch():
    code = "import i2i_forge, sys; i2i_forge.load_recipe('munit_synthetic'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
