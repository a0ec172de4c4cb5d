"""FID's distance in closed form, against scipy and torch-fidelity, and the metric around it."""

import pytest
import torch
from torch import Tensor
from two_sets import measure, normal

from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, Moments, Tools
from i2i_forge_plugins.metrics.fid import Fid, FidClean, frechet_distance


def moments(rows: Tensor) -> Moments:
    made = Moments(covariance=True)
    for part in rows.split(50):
        made.add(part)
    return made


def known(mean: Tensor, covariance: Tensor, count: int = 100) -> Moments:
    """Moments that are what they are told to be."""
    made = Moments(covariance=True)
    made.count, made.mean, made.spread = count, mean.double(), covariance.double() * (count - 1)
    return made


@pytest.mark.parametrize("dim", [256, pytest.param(2048, marks=pytest.mark.slow)])
def test_means_that_differ_by_one_in_each_feature(dim: int) -> None:
    a, b = known(torch.zeros(dim), torch.eye(dim)), known(torch.ones(dim), torch.eye(dim))
    assert frechet_distance(a, b) == pytest.approx(dim, rel=1e-12)


def test_diagonal_covariances() -> None:
    draws = torch.Generator().manual_seed(0)
    a, b = (torch.rand(300, generator=draws, dtype=torch.float64).square() for _ in "ab")
    found = frechet_distance(known(torch.zeros(300), a.diag()), known(torch.zeros(300), b.diag()))
    assert found == pytest.approx((a.sqrt() - b.sqrt()).square().sum().item(), rel=1e-12)


@pytest.mark.parametrize("count", [20, 500])  # fewer images than features, and more
def test_a_set_and_its_shrunken_copy(count: int) -> None:
    rows = normal(count, 200, 0).double()
    a, b = moments(rows), moments(rows * 0.7 + 0.1)
    variance = rows.var(0).sum()
    expected = 0.3**2 * variance + (rows.mean(0) * 0.3 - 0.1).square().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-12)
    assert frechet_distance(a, a) < 1e-10


def test_fewer_images_than_features_lose_no_digits() -> None:
    x, y = normal(40, 300, 1).double(), normal(30, 300, 2, shift=0.2).double()
    centred = [(rows - rows.mean(0)) / (len(rows) - 1) ** 0.5 for rows in (x, y)]
    root = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()  # the same from the images: 40x30, of full rank
    expected = (x.mean(0) - y.mean(0)).square().sum() + sum(c.square().sum() for c in centred) - 2 * root
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected.item(), rel=1e-12)


def test_it_equals_scipys_matrix_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = normal(400, 50, 1).double(), normal(300, 50, 2, shift=0.1, scale=1.3).double()
    a, b = x.T.cov(), y.T.cov()
    root = linalg.sqrtm((a @ b).numpy()).real
    expected = (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * root.trace()
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected.item(), rel=1e-10)


def test_it_equals_torch_fidelitys() -> None:
    oracle = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = normal(400, 60, 1), normal(300, 60, 2, shift=0.1)
    one, other = (oracle.fid_features_to_statistics(rows.double()) for rows in (x, y))
    expected = oracle.fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]
    [outcome] = measure(Fid, x, y)
    assert outcome.value == pytest.approx(expected, rel=1e-10)


def test_it_falls_with_the_number_of_images_and_says_so() -> None:
    rows = normal(4200, 30, 3)
    found = [measure(Fid, rows[:n], rows[n : 2 * n])[0] for n in (50, 200, 2100)]
    assert found[0].value > 2 * found[1].value > 8 * found[2].value > 0
    assert "50 images" in found[0].warnings[0] and "1/N" in found[0].warnings[0]
    assert not found[2].warnings


def test_an_image_alone_has_no_covariance() -> None:
    with pytest.raises(DataError, match="FID needs 2 translations and 2 real images at least; there are 5 and 1"):
        measure(Fid, normal(5, 6, 0), normal(1, 6, 0))


def test_both_ways_of_resizing_work_on_images() -> None:
    images = torch.rand(4, 3, 24, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batches = [Batch(part, [0, 1], [0, 0], ["", ""]) for part in images.split(2)]
    lent = Tools(torch.device("cpu"), backbone="random")
    values = []
    for metric in (Fid, FidClean):
        made = metric(metric.protocols[0], lent)
        made.network = Coarse(made.network)  # 2048 features would take a while to compare
        made.update(batches[0])
        made.update_real(batches[1])
        values.append(made.compute()[0].value)
        assert made.backbone is not None and made.backbone.info.antialias == (metric is FidClean)
    assert 0 < values[0] != values[1] > 0


class Coarse:
    """The mean of each 64 features of a backbone."""

    def __init__(self, network) -> None:  # type: ignore[no-untyped-def]
        self.network, self.info = network, network.info

    def __call__(self, images: Tensor) -> Tensor:
        return self.network(images).unflatten(1, (32, 64)).mean(2)
