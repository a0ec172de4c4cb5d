import pytest
import torch
from toys import catalog

import i2i_forge
from i2i_forge.errors import UsageError
from i2i_forge.measure.tensors import as_images, measure


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_metric_of_tensors():
    x = images(3, 2, 3, 8, 8)
    (found,) = measure("brightness", x, catalog=catalog())
    assert found.value == pytest.approx(x.mean().item(), abs=1e-6)
    assert set(found.per_input) == {0, 1, 2}


def test_real_images_beside():
    x, real = images(4, 3, 8, 8), images(5, 3, 8, 8, seed=1)
    (found,) = measure("distance", x, real=real, catalog=catalog())
    assert found.value == pytest.approx((x.mean((0, 2, 3)) - real[:4].mean((0, 2, 3))).norm().item(), rel=1e-5)


def test_several_metrics_share_one_pass(monkeypatch):
    x, real = images(4, 2, 3, 8, 8), images(8, 3, 8, 8, seed=1)
    alone = {name: measure(name, x, real=real, catalog=catalog()) for name in ("distance", "brightness")}
    made = []
    monkeypatch.setattr("toys.MeanColour.__call__", lambda self, x: made.append(len(x)) or x.mean((2, 3)))
    assert measure(["distance", "brightness"], x, real=real, catalog=catalog()) == alone
    assert sum(made) == 4 * 2 + 8  # each image once, not once for each metric


def test_truths_must_be_given_and_fit():
    x = images(4, 1, 3, 8, 8)
    with pytest.raises(UsageError, match="needs the true outputs"):
        measure("truths", x, real=x[:, 0], catalog=catalog())
    with pytest.raises(UsageError, match="truths: 3 for 4 inputs"):
        measure("truths", x, real=x[:, 0], truths=x[:3, 0], catalog=catalog())


def test_lpips_diversity_by_its_public_name():
    (found,) = i2i_forge.measure("lpips-diversity", images(2, 3, 3, 64, 64), backbone="random")
    assert found.value > 0 and len(found.per_input) == 2
    same = images(2, 1, 3, 64, 64).expand(-1, 3, -1, -1, -1)
    (found,) = i2i_forge.measure("lpips-diversity", same, backbone="random")
    assert found.value == pytest.approx(0, abs=1e-9)


def test_the_range_is_never_guessed():
    x = images(2, 3, 8, 8)
    assert torch.equal(as_images(x, "images", 4, None), x)
    unit = (x + 1) / 2
    for guess in (unit, unit * 255, x * 2):
        with pytest.raises(UsageError, match="do not tell what black and white are"):
            as_images(guess, "images", 4, None)
    assert torch.allclose(as_images(unit, "images", 4, (0, 1)), x, atol=1e-6)
    assert torch.allclose(as_images(unit * 255, "images", 4, (0, 255)), x, atol=1e-6)
    with pytest.raises(UsageError, match="are outside of 0 to 1"):
        as_images(x, "images", 4, (0, 1))
    bytes_ = (unit * 255).round().to(torch.uint8)
    assert torch.allclose(as_images(bytes_, "images", 4, None), x, atol=1 / 127)


def test_one_batch_of_each_range_is_refused():
    x = images(2, 2, 3, 64, 64)
    with pytest.raises(UsageError, match="real: values from"):
        measure("distance", x, real=(x[:, 0] + 1) / 2, catalog=catalog())


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 8, 8, 3), (2, 1, 8, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UsageError, match="the shape is"):
        as_images(images(*shape), "images", 4, None)
