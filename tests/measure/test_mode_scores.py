"""CIS and IS against their definitions written out, their identities, and a simulation of their bias."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import BackboneInfo, Batch, ByInput, Tools
from i2i_forge.measure.mode_classifier import random_classifier
from i2i_forge_benchmarks.metrics.mode_scores import ConditionalInceptionScore, InceptionScore
from i2i_forge_benchmarks.metrics.mode_sums import Modes, first_order, sums

CPU = torch.device("cpu")
PAPER, QUICK = ConditionalInceptionScore.protocols


class Table:
    """A classifier whose logits are the first row of an image's first channel; what is above 0.99 it has learned."""

    def __init__(self, modes):
        self.info = BackboneInfo("classifier-table", "1", "0")
        self.modes, self.card = tuple(f"mode{m}" for m in range(modes)), {"accuracy": 0.97}

    def __call__(self, images):
        return images[:, 0, 0].double() * 10

    def seen(self, images):
        return [bool((image > 0.99).any()) for image in images]


def images_of(p):
    """Images (B,3,1,M) whose probabilities under Table are p (B,M)."""
    logits = torch.as_tensor(p, dtype=torch.float64).clamp(min=1e-300).log()
    return (logits / 10)[:, None, None].expand(-1, 3, -1, -1)


def batch_of(p):
    """Translations of N inputs, p of shape N,K,M."""
    inputs, draws = np.meshgrid(range(p.shape[0]), range(p.shape[1]), indexing="ij")
    numbers = inputs.ravel().tolist()
    return Batch(images_of(p.reshape(-1, p.shape[2])), numbers, draws.ravel().tolist(), [str(n) for n in numbers])


def measured(p, real=None, protocol=PAPER, **tools):
    """CIS and IS of probabilities N,K,M, with real images' probabilities R,M."""
    tools = Tools(CPU, classifier=Table(p.shape[2]), **tools)
    found = []
    for kind in (ConditionalInceptionScore, InceptionScore):
        metric = kind(protocol, tools)
        metric.update(batch_of(p))
        if real is not None:
            metric.update_real(batch_of(real[:, None]))
        found += metric.compute()
    return found


def modes_of(p):
    """The algebra alone, on probabilities N,K,M."""
    memory = ByInput()
    for i, row in enumerate(sums(torch.as_tensor(p).log().flatten(0, 1)).unflatten(0, p.shape[:2]).sum(1)):
        memory.sums[i], memory.counts[i] = row, p.shape[1]
    return Modes.of(memory)


def divergence(p, q):
    """KL as the published script has it: unnormalised sums are normalised first."""
    p, q = p / p.sum(), q / q.sum()
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


random_probabilities = st.builds(
    lambda n, k, m, sharp, seed: np.random.default_rng(seed).dirichlet(np.full(m, sharp), size=(n, k)),
    st.integers(1, 6), st.integers(2, 6), st.integers(2, 9), st.sampled_from([0.01, 0.3, 5.0]), st.integers(0, 10**6),
)  # fmt: skip


# ---- definitions -----------------------------------------------------------------------------------------------------


def test_the_definitions_written_out():
    p = np.array([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], [[0.3, 0.3, 0.4], [0.05, 0.9, 0.05]]])
    cis, score = measured(p)
    by_hand_cis = [divergence(p[i, k], p[i].sum(0)) for i in range(2) for k in range(2)]  # eq. 8
    by_hand_is = [divergence(p[i, k], p.sum((0, 1))) for i in range(2) for k in range(2)]  # eq. 9
    assert cis.value == pytest.approx(np.mean(by_hand_cis), abs=1e-12)
    assert score.value == pytest.approx(np.mean(by_hand_is), abs=1e-12)
    assert cis.components["exp"] == pytest.approx(np.exp(np.mean(by_hand_cis)))  # what the published script prints
    assert score.components["exp"] == pytest.approx(np.exp(np.mean(by_hand_is)))
    assert list(cis.per_input.values()) == pytest.approx([np.mean(by_hand_cis[:2]), np.mean(by_hand_cis[2:])])
    assert (cis.metric, score.metric) == ("cis", "is")


def test_exp_of_the_mean_is_not_the_mean_of_exp():
    sure = np.eye(4)[[0, 1, 2, 3]]
    p = np.stack([sure, np.full((4, 4), 0.25)])  # one input shows all modes, the other none
    cis, _ = measured(p)
    assert cis.components["exp"] == pytest.approx(2.0)  # exp((ln 4 + 0) / 2)
    assert np.mean(np.exp(list(cis.per_input.values()))) == pytest.approx(2.5)


@settings(max_examples=60, deadline=None)
@given(random_probabilities)
def test_cis_is_between_0_and_is_and_their_difference_is_the_jsd(p):
    modes = modes_of(p)
    cis, score = float(modes.cis().mean()), float(modes.inception_score())
    assert 0 <= cis <= score + 1e-12
    assert score <= math.log(p.shape[2]) + 1e-12 and cis <= math.log(p.shape[1]) + 1e-12
    mean = p.mean((0, 1))
    jsd = np.mean([divergence(each, mean) for each in p.mean(1)])
    assert score - cis == pytest.approx(jsd, abs=1e-10)
    assert modes.identity_error() < 1e-10


def test_inputs_count_the_same_when_one_has_fewer_translations():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 4))
    memory = ByInput()
    memory.add([0] * 4 + [1], sums(torch.as_tensor(np.concatenate([p[0], p[1, :1]])).log()))
    modes = Modes.of(memory)
    first = np.mean([divergence(each, p[0].sum(0)) for each in p[0]])
    assert modes.cis().tolist() == pytest.approx([first, 0])
    assert modes.identity_error() < 1e-12


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_deterministic_method_has_exactly_zero_cis_from_one_translation():
    p = np.eye(4)[:, None] * 0.96 + 0.01
    cis, score = measured(p, is_deterministic=True)
    assert cis.value == 0 and set(cis.per_input.values()) == {0} and cis.bias_corrected == 0
    assert score.value > 1  # each input another mode


def test_a_perfect_method_reaches_the_bound_and_nothing_is_nan():
    p = np.broadcast_to(np.eye(4), (3, 4, 4))  # probabilities of 1 and 0
    cis, score = measured(p, real=np.eye(4))
    for found in (cis, score):
        assert found.value == pytest.approx(math.log(4)) == pytest.approx(found.components["real"])
        assert found.components["bound"] == pytest.approx(math.log(4))
        assert found.components["ratio"] == pytest.approx(1)
        assert all(math.isfinite(value) for value in (*found.components.values(), found.se, found.bias_corrected))
        assert found.real == 4 and found.components["classifier_accuracy"] == 0.97
    assert measured(p, protocol=QUICK)[0].components["bound"] == pytest.approx(math.log(4))


def test_underflowing_probabilities():
    row = sums(torch.tensor([[0.0, -1e4, -800.0]]))
    assert row.isfinite().all() and row[0, -1] == 0


def test_logits_that_are_not_finite_are_an_error():
    p = np.full((2, 2, 2), 0.5)
    p[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="do not add up"):
        measured(p)


# ---- uncertainty -----------------------------------------------------------------------------------------------------


def simulated(n, k, random, liked=(4.0, 4.0, 4.0, 4.0)):
    """Each input prefers some of 4 modes; a translation shows one of them, and the classifier is nearly sure."""
    preferences = random.dirichlet(liked, size=n)
    shown = (random.random((n, k, 1)) > preferences.cumsum(1)[:, None, :-1]).sum(2)
    logits = 5 * np.eye(4)[shown] + random.standard_normal((n, k, 4))
    return np.exp(logits) / np.exp(logits).sum(2, keepdims=True)


@pytest.mark.parametrize(("draws", "low", "high", "left"), [(10, -0.15, -0.11, 0.02), (100, -0.02, -0.005, 0.002)])
def test_few_draws_bias_cis_down_and_the_correction_mends_it(draws, low, high, left):
    random = np.random.default_rng(0)
    plug_in, corrected = [], []
    for _ in range(20):
        p = simulated(100, 1000, random)
        truth, modes = float(modes_of(p).cis().mean()), modes_of(p[:, :draws])
        plug_in.append(float(modes.cis().mean()) / truth - 1)
        mended = (modes.cis() + first_order(modes.variance, modes.p, modes.draws)).mean()
        corrected.append(float(mended) / truth - 1)
    assert low < np.mean(plug_in) < high
    assert abs(np.mean(corrected)) < left


def test_intervals_cover_and_are_by_input():
    random = np.random.default_rng(1)
    liked = (4.0, 2.0, 1.0, 1.0)
    cis, score = measured(simulated(60, 20, random, liked))
    for found in (cis, score):
        assert found.ci_method == "input-bootstrap" and found.ci95[0] < found.value < found.ci95[1]
    values = np.array(list(cis.per_input.values()))
    assert cis.se == pytest.approx(values.std() / np.sqrt(60), rel=0.1)
    spread = np.std([float(modes_of(simulated(60, 20, random, liked)).inception_score()) for _ in range(100)])
    assert score.se == pytest.approx(spread, rel=0.4)


def test_batches_and_ranks_make_no_difference():
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=(4, 6))
    whole, batch = measured(p)[0], batch_of(p)
    parts = [ConditionalInceptionScore(PAPER, Tools(CPU, classifier=Table(5))) for _ in range(2)]
    for i in range(len(batch)):
        parts[i % 2].update(Batch(batch.images[i : i + 1], [batch.inputs[i]], [batch.draws[i]], [batch.names[i]]))
    parts[0].merge(parts[1].state())
    assert parts[0].compute()[0].value == pytest.approx(whole.value, abs=1e-12)


# ---- the classifier --------------------------------------------------------------------------------------------------


def test_real_images_that_the_classifier_has_learned_from_are_named():
    p, known = np.full((2, 2, 2), 0.5), Table(2)
    metric = ConditionalInceptionScore(PAPER, Tools(CPU, classifier=known))
    metric.update(batch_of(p))
    images = torch.zeros(3, 3, 1, 2)
    images[1] = 1
    metric.update_real(Batch(images, [0, 1, 2], [0, 0, 0], ["a", "b", "c"]))
    (warning,) = metric.compute()[0].warnings
    assert "learned from 1 of the 3 real images" in warning


def test_no_classifier_is_an_error_with_the_command_that_makes_one():
    with pytest.raises(UsageError) as error:
        ConditionalInceptionScore(PAPER, Tools(CPU))
    assert "forge classifier train" in error.value.fix and "--classifier" in error.value.fix


def test_a_random_backbone_is_an_untrained_classifier():
    tools = Tools(CPU, backbone="random")
    cis, score = ConditionalInceptionScore(QUICK, tools), InceptionScore(QUICK, tools)
    assert cis.backbone is score.backbone
    assert cis.backbone.info.id == "classifier-small-8modes-random" and not cis.backbone.info.is_calibrated
    images = torch.rand(6, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(images, [0, 0, 0, 1, 1, 1], [0, 1, 2] * 2, ["a"] * 3 + ["b"] * 3)
    for metric in (cis, score):
        metric.update(batch)
    assert 0 < cis.compute()[0].value < score.compute()[0].value + 1e-12
    given = SimpleNamespace(**vars(random_classifier(2)))
    assert ConditionalInceptionScore(QUICK, Tools(CPU, backbone="random", classifier=given)).backbone is given


def test_they_are_registered():
    metrics = load_plugins().catalog.metrics
    assert metrics.get("cis") is ConditionalInceptionScore and metrics.get("is") is InceptionScore
