"""Metrics and checkpoint layouts that are wrong in one way each, and what the kit says of them."""

import pytest
import torch

from i2i_forge.measure import ByInput, Metric, Outcome, Protocol


class Brightness(Metric):
    """Mean of all values; correct."""

    direction = "up"
    protocols = (Protocol("mean/1", "two draws", draws=2),)

    def __init__(self, protocol, tools):
        super().__init__(protocol, tools)
        self.memory = ByInput()
        self.accumulators = {"memory": self.memory}

    def update(self, batch):
        self.memory.add(batch.inputs, batch.images.mean((1, 2, 3))[:, None])

    def compute(self):
        _, counts, sums = self.memory.table()
        return [Outcome(float((sums[:, 0] / counts).mean()))]


class MeanOfBatches(Brightness):
    """Averages batches, whatever their size."""

    def __init__(self, protocol, tools):
        super().__init__(protocol, tools)
        self.found = []

    def update(self, batch):
        self.found.append(float(batch.images.mean()))

    def compute(self):
        return [Outcome(sum(self.found) / len(self.found))]


class Rough(Brightness):
    """Draws anew at every computation."""

    def compute(self):
        (outcome,) = super().compute()
        return [Outcome(outcome.value + float(torch.rand(())))]


def metric(**changes):
    """A metric with other attributes."""
    return type("Changed", (Brightness,), {"__doc__": "Changed.", **changes})


def inverting(self, batch):
    batch.images.neg_()
    Brightness.update(self, batch)


NOT_A_NUMBER = metric(compute=lambda self: [Outcome(float("nan"), per_input={99: 0.0})])
BROKEN_METRICS = [
    (object, "protocols", "no subclass of i2i_forge.measure.Metric"),
    (metric(direction="left"), "protocols", "`direction` is neither"),
    (metric(real="yes"), "protocols", "`real` is 'yes'"),
    (metric(wants=frozenset({"labels"})), "protocols", "`wants` has 'labels'"),
    (metric(protocols=()), "protocols", "it has no protocol"),
    (metric(protocols=(Protocol("Mean", "two draws"),)), "protocols", "a protocol is called 'Mean'"),
    (metric(protocols=(Protocol("mean/1", ""),)), "protocols", "does not say what is particular"),
    (metric(protocols=(Protocol("m/1", "a"), Protocol("m/1", "b"))), "protocols", "two of its protocols have one name"),
    (MeanOfBatches, "batches_do_not_matter", "in batches of 5 it gives"),
    (MeanOfBatches, "halves_merge", "`accumulators` must hold all it remembers"),
    (Rough, "deterministic", "the same images give"),
    (metric(update=inverting), "leaves_images_alone", "changes the images of a batch in place"),
    (NOT_A_NUMBER, "runs", "its value is nan"),
    (NOT_A_NUMBER, "runs", "`per_input` names inputs that it was not shown"),
    (metric(compute=lambda self: [0.5]), "runs", "does not return a list of Outcomes"),
    (metric(compute=lambda self: {}["none"]), "runs", "KeyError: 'none'"),
]  # fmt: skip


def test_a_correct_metric_passes(failures):
    assert failures("metrics", Brightness) == {}


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_METRICS, ids=[row[1] for row in BROKEN_METRICS])
def test_a_broken_metric_is_found(failures, component, check, says):
    assert says in failures("metrics", component).get(check, "")


# ---- formats -------------------------------------------------------------------------------------------------------


class Layout:
    """One file that holds all; correct."""

    parts, title, file, recipe = ("model",), "my code", "{part}.pt", "pix2pix_synthetic"

    def save(self, own):
        return {"model": dict(own)}

    def load(self, files, own):
        return files["model"]


class Forgetting(Layout):
    """Leaves the decoder out."""

    def load(self, files, own):
        return {name: value for name, value in files["model"].items() if not name.startswith("decoder")}


def layout(**changes):
    """A layout with other attributes."""
    return type("Changed", (Layout,), {"__doc__": "Changed.", **changes})


BROKEN_FORMATS = [
    (Forgetting, "comes_back", "'decoder."),
    (layout(parts=("one", "two"), file="model.pt"), "runs", "its 2 parts would have one name"),
    (layout(title=""), "runs", "`parts` or `title` is empty"),
    (layout(recipe="pix3pix"), "runs", "pix3pix: there is no such recipe"),
]


def test_a_correct_format_passes(failures):
    assert failures("formats", Layout) == {}


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_FORMATS, ids=[row[1] for row in BROKEN_FORMATS])
def test_a_broken_format_is_found(failures, component, check, says):
    assert says in failures("formats", component).get(check, "")
