"""The translator of a run of MUNIT, and an image."""

import pytest
from loaded import CATALOG
from pictures import write

from i2i_forge.translate.loading import load


@pytest.fixture(scope="session")
def translator(munit_run):
    return load(munit_run, catalog=CATALOG)


@pytest.fixture
def image(tmp_path):
    return write(tmp_path / "in/shoe.png")
