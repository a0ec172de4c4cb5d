"""TensorBoard and Weights & Biases watch a run that asks for them, and never cost one."""

import sys
from types import ModuleType

import pytest
from shrink import TINY_MUNIT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.errors import DivergedError, PluginError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run

TINY = (
    "data.count=3", "data.test_count=1", "data.batch=1", "data.workers=0", "run.log_every=2", "run.sample_every=2",
    "run.sample_inputs=1", "run.sample_styles=1", *TINY_MUNIT,
)  # fmt: skip


@pytest.fixture
def own_host():
    """For one test alone: an observer that failed is not called again."""
    return load_plugins()


def train(host, folder, steps, *observers, progress=None):
    changes = [*TINY, f"steps={steps}", f"run.observers=[{', '.join(observers)}]"]
    run = Run(read_recipe("munit_synthetic", set=changes), host, folder, progress=progress)
    run.train()
    return checkpoint.digest(run.trainer)


def test_tensorboard_has_losses_samples_and_the_recipe_and_changes_nothing(host, listening, tmp_path):
    """It goes on where the run does, and says where its files are."""
    train(host, tmp_path / "watched", 2, "tensorboard", progress=listening)
    assert f"for TensorBoard: tensorboard --logdir {tmp_path / 'watched/tensorboard'}" in listening.notes
    watched = train(host, tmp_path / "watched", 3, "tensorboard")
    assert watched == train(host, tmp_path / "alone", 3)
    events = EventAccumulator(str(tmp_path / "watched/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("generator/gan/ab")] == [2, 3]
    for route in ("ab", "ba"):
        assert [event.step for event in events.Images(f"samples/{route}")] == [0, 2, 3]
    assert b"trainer: munit" in events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0]
    assert not (tmp_path / "alone/tensorboard").exists()


class FakeWandb(ModuleType):
    """Remembers what `wandb` was asked for."""

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = object()
        self.starts, self.logged, self.finished = [], [], 0

    def init(self, **settings):
        self.starts.append(settings)
        return self

    def log(self, values, step):
        self.logged.append((step, sorted(values)))

    def finish(self):
        self.finished += 1

    def Image(self, file):
        assert file.endswith(".png")
        return file


@pytest.fixture
def wandb(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_wandb_is_offline_and_a_resumed_run_keeps_its_number(host, wandb, tmp_path, monkeypatch):
    train(host, tmp_path, 2, "wandb")
    (start,) = wandb.starts
    assert (start["mode"], start["project"], start["dir"]) == ("offline", "i2i_forge", str(tmp_path))
    assert start["config"]["trainer"] == "munit" and start["config"]["steps"] == 2
    images = ["samples/ab", "samples/ba"]
    assert (0, images) in wandb.logged and (2, images) in wandb.logged and wandb.finished == 1
    assert [step for step, names in wandb.logged if "generator/gan/ab" in names] == [2]
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "shoes")
    train(host, tmp_path, 3, "wandb")
    again = wandb.starts[1]
    assert (again["mode"], again["project"], again["resume"]) == ("online", "shoes", "allow")
    assert again["id"] == start["id"] and wandb.finished == 2


def test_those_that_are_not_installed_say_so_and_the_run_goes_on(own_host, listening, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda wanted, *_: None)
    train(own_host, tmp_path, 1, "tensorboard", "wandb", progress=listening)
    notes = [text for text in listening.notes if "failed" in text]
    for name in ("tensorboard", "wandb"):
        (note,) = [text for text in notes if f"plugin '{name}' failed in run_started" in text]
        assert f"pip install {name}" in note
    assert len(notes) == 2


def test_one_that_fails_later_does_not_cost_the_run(own_host, wandb, listening, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("disk full")

    alone = train(own_host, tmp_path / "alone", 2)
    assert wandb.starts == wandb.logged == [] and wandb.finished == 0  # nobody asked for it
    monkeypatch.setattr(wandb, "log", full)
    assert train(own_host, tmp_path / "run", 2, "wandb", progress=listening) == alone
    assert len([text for text in listening.notes if "disk full" in text]) == 1


def test_an_observer_is_told_when_a_run_fails(own_host, wandb, tmp_path, monkeypatch):
    def diverged(*_):
        raise DivergedError("generator/gan is nan")

    monkeypatch.setattr("i2i_forge.engine.trainer.Trainer.step", diverged)
    with pytest.raises(DivergedError):
        train(own_host, tmp_path, 1, "wandb")
    assert wandb.finished == 1


@pytest.mark.parametrize(
    ("name", "part"),
    [("tensorbord", "did you mean 'tensorboard'"), ("munit", "there is no observer 'munit'"),
     ("bad", r"plugin 'bad' cannot be used: ValueError: no luck")],
)  # fmt: skip
def test_an_observer_that_cannot_watch_is_an_error_before_the_first_step(tmp_path, name, part):
    (tmp_path / "bad.py").write_text("raise ValueError('no luck')")
    with pytest.raises(PluginError, match=part):
        train(load_plugins([tmp_path]), tmp_path / "run", 1, name)
    assert not (tmp_path / "run").exists()
