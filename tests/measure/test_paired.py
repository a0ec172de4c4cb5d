"""Measures against the true output: formulas, 8 bits, K translations."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.images import save_png, to_uint8
from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, Outcome, Tools
from i2i_forge_plugins.backbones.lpips import random_lpips
from i2i_forge_plugins.metrics import paired as plugin
from i2i_forge_plugins.metrics.paired import LpipsPaired, Paired, Psnr, Ssim, levels, psnr, ssim

METRICS: list[type[Paired]] = [Psnr, Ssim, LpipsPaired]
EQUAL = 10 * math.log10(12 * 255**2)  # dB of equal images: 58.92


def tools() -> Tools:
    return Tools(torch.device("cpu"), backbone="random")


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(inputs: int = 3, draws: int = 1, size: int = 32) -> Batch:
    """Smooth truths, and translations that are farther from them the higher input and draw are."""
    coarse = torch.rand(inputs, 3, 5, 5, generator=random(0)) * 2 - 1
    truths = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)
    truths = truths.repeat_interleave(draws, 0)
    noise = torch.randn(truths.shape, generator=random(1))
    numbers = [n for n in range(inputs) for _ in range(draws)]
    ks = [k for _ in range(inputs) for k in range(draws)]
    amount = torch.tensor([0.05 * (1 + n + k) for n, k in zip(numbers, ks, strict=True)])
    images = (truths + amount[:, None, None, None] * noise).clamp(-1, 1)
    return Batch(images, numbers, ks, [f"{n}.png" for n in numbers], truths=truths)


def only(batch: Batch, kept: list[int]) -> Batch:
    assert batch.truths is not None
    numbers, draws = [batch.inputs[i] for i in kept], [batch.draws[i] for i in kept]
    return Batch(batch.images[kept], numbers, draws, [batch.names[i] for i in kept], truths=batch.truths[kept])


def measured(metric: type[Paired], *batches: Batch, protocol: int = 0) -> Outcome:
    made = metric(metric.protocols[protocol], tools())
    for batch in batches:
        made.update(batch)
    (outcome,) = made.compute()
    return outcome


# ---- formulas --------------------------------------------------------------------------------------------------


def test_psnr_by_hand() -> None:
    x = torch.full((2, 3, 4, 4), 100.0, dtype=torch.float64)
    y = x.clone()
    y[0] += 5
    y[1, 0] += 3
    expected = [20 * math.log10(255 / 5), 10 * math.log10(255**2 / 3)]
    assert psnr(x, y).tolist() == pytest.approx(expected, rel=1e-14)


def test_psnr_of_equal_images_is_finite_and_the_highest() -> None:
    x = torch.full((2, 3, 64, 64), 7.0)
    y = x.clone()
    y[1, 0, 0, 0] += 1  # one level in one channel of one pixel: less than rounding does
    assert psnr(x, y).tolist() == pytest.approx([EQUAL, EQUAL])
    assert psnr(x, x + 1).max() < EQUAL


@pytest.mark.parametrize("size", [(11, 11), (24, 17)])
def test_ssim_is_kornias_without_its_epsilon_and_padding(size: tuple[int, int]) -> None:
    from kornia.metrics import ssim as of_kornia

    x = torch.rand(3, 3, *size, generator=random(0), dtype=torch.float64)
    y = (x + 0.2 * torch.randn(x.shape, generator=random(1), dtype=torch.float64)).clamp(0, 1)
    expected = of_kornia(x, y, 11, eps=0.0, padding="valid").mean((1, 2, 3))
    assert torch.allclose(ssim(x, y), expected, rtol=1e-10, atol=0)
    assert torch.allclose(ssim(x.float(), y.float()), expected, rtol=1e-5, atol=0)
    if size != (11, 11):  # kornia's default reflects the border, which counts then
        assert not torch.allclose(ssim(x, y), of_kornia(x, y, 11).mean((1, 2, 3)), rtol=1e-3, atol=0)


def test_ssim_of_one_window_is_the_papers_formula() -> None:
    x, y = (torch.rand(1, 1, 11, 11, generator=random(seed), dtype=torch.float64) for seed in (0, 1))
    a, b = x.numpy()[0, 0], y.numpy()[0, 0]
    distance = np.subtract.outer(np.arange(11), [5])[:, 0] ** 2
    weights = np.exp(-(distance[:, None] + distance[None]) / (2 * 1.5**2))
    weights /= weights.sum()
    mu_a, mu_b = (weights * a).sum(), (weights * b).sum()
    var_a, var_b = (weights * (a - mu_a) ** 2).sum(), (weights * (b - mu_b) ** 2).sum()
    cov = (weights * (a - mu_a) * (b - mu_b)).sum()
    luminance = (2 * mu_a * mu_b + 1e-4) / (mu_a**2 + mu_b**2 + 1e-4)
    assert ssim(x, y).item() == pytest.approx(luminance * (2 * cov + 9e-4) / (var_a + var_b + 9e-4), rel=1e-10)


def test_ssim_is_symmetric_and_1_for_equal_images() -> None:
    x, y = (torch.rand(2, 3, 20, 20, generator=random(seed)) for seed in (0, 1))
    assert torch.allclose(ssim(x, y), ssim(y, x), rtol=1e-12)
    for same in (x, torch.zeros_like(x), torch.ones_like(x)):
        assert ssim(same, same).tolist() == pytest.approx([1, 1], rel=1e-12)
    assert ssim(x, 1 - x).max() < 0


def test_images_below_the_window_are_refused() -> None:
    with pytest.raises(DataError, match="images of 12x10 pixels are smaller than its window of 11x11"):
        ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))


def test_lpips_is_the_networks_distance() -> None:
    batch, network = pairs(size=64), random_lpips()
    assert batch.truths is not None
    outcome = measured(LpipsPaired, batch)
    expected = network.distance(batch.images, batch.truths)
    assert list(outcome.per_input.values()) == pytest.approx(expected.tolist(), rel=1e-6)
    assert outcome.metric == "lpips_gt" and outcome.value > 0


def test_the_network_for_lpips_is_the_evaluations_own() -> None:
    lent = tools()
    one, other = (LpipsPaired(protocol, lent) for protocol in LpipsPaired.protocols)
    assert one.backbone is other.backbone
    assert one.backbone.info.id == "lpips-alex-v0.1-random" and not one.backbone.info.is_calibrated


def test_without_weights_lpips_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    with pytest.raises(DataError) as caught:
        LpipsPaired(LpipsPaired.protocols[0], Tools(torch.device("cpu")))
    assert "forge weights get alexnet" in caught.value.fix


# ---- 8 bits ----------------------------------------------------------------------------------------------------


def test_levels_are_those_of_saved_files() -> None:
    image = torch.linspace(-1.1, 1.1, 3000).reshape(1, 3, 10, 100)
    assert torch.equal(levels(image), to_uint8(image).double())
    by_hand = torch.tensor([1.02, 2 * 254.9 / 255 - 1, 2 * 254.4 / 255 - 1, -1.5])  # clamped, rounded, never wrapped
    assert levels(by_hand).tolist() == [255, 255, 254, 0]


@pytest.mark.parametrize("metric", [Psnr, Ssim])
def test_saved_images_measure_the_same(metric: type[Paired], tmp_path: Path) -> None:
    batch = pairs()
    saved = []
    for i, image in enumerate(batch.images):
        save_png(image, tmp_path / f"{i}.png")
        pixels = torch.from_numpy(np.array(Image.open(tmp_path / f"{i}.png")))
        saved.append(pixels.permute(2, 0, 1).float() / 127.5 - 1)
    decoded = Batch(torch.stack(saved), batch.inputs, batch.draws, batch.names, truths=batch.truths)
    assert not torch.equal(decoded.images, batch.images)
    assert measured(metric, decoded) == measured(metric, batch)


# ---- means and bests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_method_has_the_best_value_and_records_stay_json(metric: type[Paired]) -> None:
    batch = pairs()
    assert batch.truths is not None
    batch.images = batch.truths.clone()
    outcome = measured(metric, batch)
    perfect = {Psnr: EQUAL, Ssim: 1.0, LpipsPaired: 0.0}[metric]
    assert outcome.value == pytest.approx(perfect) and outcome.se == pytest.approx(0, abs=1e-12)
    json.dumps([outcome.value, outcome.se, outcome.ci95, outcome.per_input, outcome.components], allow_nan=False)


@pytest.mark.parametrize("metric", METRICS)
def test_nearer_translations_are_better(metric: type[Paired]) -> None:
    values = list(measured(metric, pairs()).per_input.values())
    assert values == sorted(values, reverse=metric.direction == "up") and len(set(values)) == 3


@pytest.mark.parametrize("metric", METRICS)
def test_of_k_translations_there_is_the_mean_and_the_best(metric: type[Paired]) -> None:
    batch = pairs(inputs=3, draws=10)
    each = metric(metric.protocols[0], tools()).score(batch).double().reshape(3, 10)
    best = each.amax(1) if metric.direction == "up" else each.amin(1)
    outcome = measured(metric, batch, protocol=1)
    assert outcome.value == outcome.components["best_of_K"] == pytest.approx(best.mean().item(), rel=1e-6)
    assert outcome.components["mean_of_K"] == pytest.approx(each.mean().item(), rel=1e-6)
    assert outcome.components["K"] == 10
    assert list(outcome.per_input.values()) == pytest.approx(best.tolist(), rel=1e-6)
    assert outcome.ci_method == "input-bootstrap" and outcome.ci95[0] < outcome.value < outcome.ci95[1]
    assert not outcome.warnings


def test_one_translation_is_its_own_best() -> None:
    outcome = measured(Ssim, pairs())
    assert outcome.components == {"mean_of_K": outcome.value, "best_of_K": outcome.value, "K": 1.0}


@pytest.mark.parametrize("metric", METRICS)
def test_a_deterministic_methods_translation_stands_for_all(metric: type[Paired]) -> None:
    outcome, one = (measured(metric, pairs(), protocol=p) for p in (1, 0))
    assert outcome.per_input == one.per_input and outcome.se == one.se
    assert outcome.components == {"mean_of_K": one.value, "best_of_K": one.value, "K": 10.0}


def test_the_plugin_brings_three_metrics_with_their_own_protocols() -> None:
    catalog = Catalog()
    plugin.register_components(catalog)
    assert list(catalog.metrics) == ["lpips-paired", "psnr", "ssim"]
    for entry in catalog.metrics.entries():
        assert [p.name for p in entry.component.protocols] == [
            "one/1",
            "best-of-10/1",
            *["values/1"] * (entry.name != "lpips-paired"),
        ]
        assert entry.component.wants == {"truths"}
