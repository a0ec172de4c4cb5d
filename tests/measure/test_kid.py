"""KID against torch-fidelity's functions, and what an unbiased estimate and its error must do."""

from collections.abc import Sequence

import pytest
import torch
from two_sets import batch, feed, measure, normal, tools

from i2i_forge.errors import DataError
from i2i_forge.measure import Batch
from i2i_forge_plugins.metrics import kid
from i2i_forge_plugins.metrics.kid import Kid, squared_mmd, with_error

SUBSETS = 1  # the second protocol


def fidelity(x: torch.Tensor, y: torch.Tensor, size: int, subsets: int) -> float:
    oracle = pytest.importorskip("torch_fidelity.metric_kid")
    settings = {"kid_subsets": subsets, "kid_subset_size": size, "kid_kernel": "poly", "verbose": False}
    found = oracle.kid_features_to_metric(x.double(), y.double(), **settings)
    return float(found["kernel_inception_distance_mean"])


def test_all_images_at_once_equal_torch_fidelitys() -> None:
    x, y = normal(80, 30, 1), normal(80, 30, 2, shift=0.3)
    assert measure(Kid, x, y)[0].value == pytest.approx(fidelity(x, y, 80, 1), rel=1e-10)


def test_subsets_equal_torch_fidelitys_up_to_which_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(300, 12, 1), normal(280, 12, 2, shift=0.5)
    protocol = Kid.protocols[SUBSETS]
    monkeypatch.setitem(protocol.options, "size", 100)
    [outcome] = measure(Kid, x, y, SUBSETS)
    assert outcome.components["size"] == 100 and outcome.se is None and outcome.real == 280
    error = outcome.components["std"] / 100**0.5
    assert abs(outcome.value - fidelity(x, y, 100, 100)) < 5 * error
    assert error < 0.05 * outcome.value


def test_subsets_of_few_images_are_all_of_them() -> None:
    x, y = normal(40, 12, 1), normal(30, 12, 2)
    [outcome] = measure(Kid, x, y, SUBSETS)
    assert outcome.components["size"] == 30
    assert measure(Kid, x[:30], y, SUBSETS)[0].components["std"] == pytest.approx(0, abs=1e-12)


def test_sides_of_different_sizes_by_hand() -> None:
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).double(), torch.tensor([[2.0, 0.0], [0.0, 0.0]]).double()
    within_x = 2 * (1 + 1.5**3 + 1.5**3) / 6
    within_y = 1.0
    across = (2**3 + 1 + 1 + 1 + 2**3 + 1) / 6
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * across)


def test_one_distribution_is_at_zero_and_the_error_is_right() -> None:
    found = [with_error(*normal(240, 20, seed).double().split([140, 100]), [1] * 140) for seed in range(100)]
    values, errors = torch.tensor(found).T
    assert values.mean().abs() < 3 * values.std() / 10
    assert (values < 0).any()
    # The jackknife is known to be too wide where the distance is 0 and the leading term of the error vanishes.
    assert 1 < errors.mean() / values.std() < 2


def test_the_error_is_right_where_there_is_a_distance() -> None:
    found = [
        with_error(normal(140, 20, seed).double(), normal(100, 20, -1 - seed, shift=0.5).double(), [1] * 140)
        for seed in range(100)
    ]
    values, errors = torch.tensor(found).T
    assert 0.8 < errors.mean() / values.std() < 1.25


@pytest.mark.parametrize("draws", [[1] * 8, [3, 1, 4]])
def test_the_error_is_the_jackknifes_by_definition(draws: list[int]) -> None:
    x, y = normal(8, 5, 1).double(), normal(7, 5, 2, shift=0.4).double()

    def left_out(parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.cat([*parts[:i], *parts[i + 1 :]]) for i in range(len(parts))]

    without_x = torch.tensor([squared_mmd(rest, y) for rest in left_out(x.split(draws))], dtype=torch.float64)
    without_y = torch.tensor([squared_mmd(x, rest) for rest in left_out(y.split(1))], dtype=torch.float64)
    variance = sum((len(values) - 1) * values.var(correction=0) for values in (without_x, without_y))
    value, error = with_error(x, y, draws)
    assert error == pytest.approx(float(variance) ** 0.5, rel=1e-9)
    assert value == squared_mmd(x, y)


def test_translations_of_one_input_alone_have_no_error() -> None:
    metric = Kid(Kid.protocols[0], tools())
    feed(metric, normal(0, 6, 0), normal(9, 6, 1))
    made = batch(normal(4, 6, 2), 0)
    metric.update(Batch(made.images, [0] * 4, [0, 1, 2, 3], made.names))
    assert metric.compute()[0].se is None


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(50, 12, 1), normal(41, 12, 2)
    whole = measure(Kid, x, y)[0]
    monkeypatch.setattr(kid, "BLOCK", 7)
    [outcome] = measure(Kid, x, y)
    assert outcome.value == pytest.approx(whole.value, rel=1e-10)
    assert outcome.se == pytest.approx(whole.se, rel=1e-10)


def test_three_images_are_needed() -> None:
    with pytest.raises(DataError, match="KID needs 3 translations"):
        measure(Kid, normal(2, 6, 0), normal(9, 6, 0))
