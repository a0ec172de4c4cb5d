"""No setting of the developer's machine reaches a test."""

import os

import loaded
import pytest
from shrink import TINY_MUNIT

from i2i_forge.cli import main
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.loop import Run

collect_ignore = ["external_plugin"]  # a package of its own, which test_external_plugin.py installs


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    for name in [name for name in os.environ if name.startswith("FORGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def host():
    """All plugins, loaded once: a test that changes what they bring, or lets one fail, loads its own."""
    return loaded.HOST


@pytest.fixture(scope="session")
def quiet():
    """All plugins but sample grids, which take longer than a step."""
    return loaded.QUIET


@pytest.fixture(scope="session")
def catalog():
    return loaded.CATALOG


@pytest.fixture(scope="session")
def vocabulary():
    return loaded.VOCABULARY


@pytest.fixture
def forge(capsys):
    """Runs a command in this process: (exit code, stdout, stderr)."""

    def call(*arguments, is_accident=False):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "--debug" in arguments or "Traceback" not in err
        assert is_accident or "--debug ...` shows the traceback" not in err
        return ended.value.code, out, err

    return call


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors on several threads mostly wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Listening:
    """The progress of a run, for whoever wants to know what it said: `notes`."""

    def __init__(self):
        self.notes = []

    def start(self, done, steps): ...
    def step(self, done, entry): ...
    def stop(self): ...
    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def listening():
    return Listening()


TINY = ("data.test_count=3", "data.batch=1", "data.workers=0", "run.log_every=1", *TINY_MUNIT)


def train_tiny(folder, recipe, *changes):
    """A run of one step in `folder`."""
    Run(read_recipe(recipe, set=[*changes, "steps=1"]), loaded.QUIET, folder).train()
    return folder


@pytest.fixture(scope="session")
def munit_run(tmp_path_factory):
    """The folder of a run of MUNIT that was trained for one step."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "munit", "munit_synthetic", *TINY)


@pytest.fixture(scope="session")
def pix2pix_run(tmp_path_factory):
    """The folder of a run of pix2pix, paired and deterministic, that was trained for one step."""
    changes = ("data.test_count=3", "data.workers=0", "run.log_every=1")
    return train_tiny(tmp_path_factory.mktemp("runs") / "pix2pix", "pix2pix_synthetic", *changes)
