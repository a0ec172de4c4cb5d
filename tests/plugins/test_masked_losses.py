"""Distances inside a mask equal NumPy's, and are additive over micro-batches."""

import numpy as np
import pytest
import torch
from loaded import CATALOG


def loss(name):
    return CATALOG.losses.get(name)


def draw(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


MASK = torch.zeros(4, 1, 8, 9, dtype=torch.uint8)
MASK[0], MASK[1, :, 2:5, 3:], MASK[2, 0, 0, 0] = 1, 7, 1  # whole; a label; one pixel; none


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "power"), [("masked_l1", 1), ("masked_l2", 2)])
def test_masked_distances_are_numpy_s(name, power, channels):
    x, y = draw(4, channels, 8, 9), draw(4, channels, 8, 9, seed=1)
    each = (np.abs(x.numpy() - y.numpy()) ** power).transpose(0, 2, 3, 1)
    inside = [each[n][MASK[n, 0].numpy() > 0] for n in range(4)]
    truth = np.mean([values.mean() if values.size else 0 for values in inside])
    assert loss(name)(x, y, MASK).item() == pytest.approx(truth, rel=1e-12)
    assert loss(name)(x, y, MASK[:1].expand_as(MASK)).item() == pytest.approx(each.mean(), rel=1e-12)


def test_weighted_l1_is_numpy_s():
    x, y, weight = draw(4, 2, 8, 9), draw(4, 2, 8, 9, seed=1), draw(4, 1, 8, 9, seed=2).float().abs() * 3
    each = np.abs(x.numpy() - y.numpy())
    truth = [np.average(each[n], weights=np.broadcast_to(weight[n].numpy(), each[n].shape)) for n in range(4)]
    assert loss("weighted_l1")(x, y, weight).item() == pytest.approx(np.mean(truth), rel=1e-6)


def test_masked_ssim_is_that_of_scikit_image_inside_the_mask():
    ssim = pytest.importorskip("skimage.metrics").structural_similarity
    x, y = draw(1, 1, 40, 40), draw(1, 1, 40, 40, seed=1) * 0.3
    y = (y + x).clamp(-1, 1)
    mask = torch.zeros(1, 1, 40, 40, dtype=torch.uint8)
    mask[:, :, 10:25, 12:30] = 1
    _, places = ssim(x[0, 0].numpy(), y[0, 0].numpy(), gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                     data_range=2.0, full=True)  # fmt: skip
    truth = 1 - places[10:25, 12:30].mean()
    assert loss("masked_ssim")(x, y, mask).item() == pytest.approx(truth, abs=1e-6)
    assert loss("masked_ssim")(x, x, mask).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["masked_l1", "masked_l2", "masked_ssim", "weighted_l1"])
def test_micro_batches_add_up_and_the_outside_is_free(name):
    x, y = draw(4, 1, 8, 9).requires_grad_(), draw(4, 1, 8, 9, seed=1)
    whole = loss(name)(x, y, MASK)
    parts = [loss(name)(x[n : n + 2], y[n : n + 2], MASK[n : n + 2]) for n in (0, 2)]
    assert torch.allclose(whole, sum(parts) / 2, rtol=1e-12)
    whole.backward()
    assert torch.isfinite(x.grad).all() and (x.grad[3] == 0).all()
    assert name == "masked_ssim" or (x.grad[1][MASK[1] == 0] == 0).all()


def test_shapes_that_do_not_fit_are_refused():
    x = draw(2, 3, 8, 9)
    with pytest.raises(ValueError, match="different shapes"):
        loss("masked_l1")(x, x[:, :1], MASK[:2])
    with pytest.raises(ValueError, match="the mask has the shape"):
        loss("masked_l2")(x, x, MASK[:1])
    with pytest.raises(ValueError, match="the mask has the shape"):
        loss("weighted_l1")(x, x, x[:, :2])
