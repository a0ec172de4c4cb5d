"""Mode coverage on translations whose modes are known."""

import math
from types import SimpleNamespace

import pytest
import torch
from loaded import CATALOG

from i2i_forge.errors import UsageError
from i2i_forge.measure import BackboneInfo, Batch, Tools
from i2i_forge_plugins.metrics.mode_coverage import ModeCoverage

CPU = torch.device("cpu")
PAPER, QUICK = ModeCoverage.protocols


class Brightness:
    """A classifier that reads the mode off an image's first pixel: -1, -0.8, -0.6 ..."""

    info = BackboneInfo("classifier-brightness", "1", "0")
    modes, card = ("red", "green", "blue", "grey"), SimpleNamespace(get={"accuracy": 0.95}.get)

    def __call__(self, images):
        middles = torch.linspace(-1, -0.4, 4)
        return -(images[:, 0, 0, 0, None] - middles).abs()


def batch_of(shown):
    """Translations of inputs that show the given modes."""
    inputs = [i for i, modes in enumerate(shown) for _ in modes]
    draws = [k for modes in shown for k, _ in enumerate(modes)]
    values = torch.tensor([mode for modes in shown for mode in modes]) * 0.2 - 1
    return Batch(values[:, None, None, None].expand(-1, 3, 2, 2), inputs, draws, [str(i) for i in inputs])


def measured(shown, real=(), protocol=QUICK, **tools):
    metric = ModeCoverage(protocol, Tools(CPU, classifier=Brightness(), **tools))
    metric.update(batch_of(shown))
    if real:
        metric.update_real(batch_of([[mode] for mode in real]))
    (outcome,) = metric.compute()
    return outcome


def test_by_hand():
    found = measured([[0] * 24 + [1], [0, 1, 2, 3] * 6 + [3]], real=[0, 1, 2, 3])
    assert found.metric == "mode_coverage" and found.value == pytest.approx((2 + 4) / 2 / 4)
    assert dict(found.per_input) == {0: 0.5, 1: 1.0}
    parts = found.components
    assert parts["modes"] == 3 and parts["modes_5pct"] == pytest.approx((1 + 4) / 2)
    assert parts["ideal"] == pytest.approx(1 - 0.75**25) and parts["classifier_accuracy"] == 0.95
    pooled = [(24 / 25 + 6 / 25) / 2, (1 / 25 + 6 / 25) / 2, 6 / 50, 7 / 50]
    assert parts["kl_real"] == pytest.approx(sum(p * math.log(p * 4) for p in pooled))
    entropies = [-sum(c / 25 * math.log(c / 25) for c in counts) for counts in ([24, 1], [6, 6, 6, 7])]
    assert parts["kl_real_per_input"] == pytest.approx(math.log(4) - sum(entropies) / 2)
    assert parts["perplexity"] == pytest.approx(sum(map(math.exp, entropies)) / 2)
    assert found.real == 4 and found.ci95 == (0.5, 1.0)
    assert found.arrays["histograms"].tolist() == [[24, 1, 0, 0], [6, 6, 6, 7]]


def test_the_ideal_is_what_a_uniform_sampler_reaches():
    shown = torch.randint(4, (2000, 5), generator=torch.Generator().manual_seed(0)).tolist()
    found = measured(shown)
    assert found.value == pytest.approx(found.components["ideal"], abs=4 * found.se)


def test_a_deterministic_method_shows_one_mode():
    found = measured([[0], [1], [3]], is_deterministic=True)
    assert found.value == 0.25 and found.components["perplexity"] == 1
    assert found.components["ideal"] == pytest.approx(1 - 0.75**10)


def test_a_mode_without_real_images_is_named_and_the_kl_left_out():
    found = measured([[0, 1], [0, 0]], real=[0, 0, 2])
    assert "kl_real" not in found.components and found.warnings == [
        "no real image shows green: the KL to the real images is infinite"
    ]


def test_the_classifier_is_needed():
    with pytest.raises(UsageError, match="mode-coverage needs a classifier"):
        ModeCoverage(PAPER, Tools(CPU))
    assert CATALOG.metrics.get("mode-coverage") is ModeCoverage
