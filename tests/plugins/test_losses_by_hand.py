"""Each loss against numbers computed by hand, or against an independent function of torch."""

import math
from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from i2i_forge.errors import RecipeError
from i2i_forge.system import distributed

TWO_SCALES = [torch.tensor([2.0, 0.0]), torch.tensor([-1.0])], [torch.tensor([-3.0, 0.5]), torch.tensor([4.0])]


def loss(name: str) -> Any:
    return CATALOG.losses.get(name)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---- distances ------------------------------------------------------------------------------------------------------


def test_charbonnier_is_smooth_near_zero_and_absolute_far_away() -> None:
    x, y = torch.tensor([0.0, 3.0]), torch.tensor([0.0, -1.0])
    assert loss("charbonnier")(x, y, eps=3.0).item() == pytest.approx((3 + 5) / 2)
    assert loss("charbonnier")(x, y).item() == pytest.approx((1e-3 + math.sqrt(16 + 1e-6)) / 2)
    with pytest.raises(ValueError, match="different shapes"):
        loss("charbonnier")(x, y[:1])


# ---- codes ----------------------------------------------------------------------------------------------------------


def test_kl_is_the_divergence_of_the_distributions() -> None:
    mean, logvar = draw(5, 3), draw(5, 3, seed=1)
    every = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    assert loss("kl")(mean, logvar).item() == pytest.approx(every.sum().item(), rel=1e-12)
    assert loss("kl")(mean, logvar, reduction="mean").item() == pytest.approx(every.sum(1).mean().item(), rel=1e-12)
    assert loss("kl")(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0
    with pytest.raises(RecipeError, match="no reduction 'total'") as caught:
        loss("kl")(mean, logvar, reduction="total")
    assert "sum or mean" in caught.value.fix
    with pytest.raises(ValueError, match="different shapes"):
        loss("kl")(mean, logvar[:1])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_kls_gradient_averaged_over_two_shares_is_that_of_the_whole_batch(reduction: str) -> None:
    mean, logvar = draw(4, 3).requires_grad_(), draw(4, 3, seed=1)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)  # a parameter that both shares train
    (whole,) = torch.autograd.grad(loss("kl")(mean * scale, logvar, reduction=reduction), scale)
    gradients = []
    for number, half in enumerate((slice(2), slice(2, 4))):
        with distributed.part(number, 2):
            value = loss("kl")(mean[half] * scale, logvar[half], reduction=reduction)
        gradients.append(torch.autograd.grad(value, scale)[0])
    assert (sum(gradients) / 2).item() == pytest.approx(whole.item(), rel=1e-12)


def test_kl_of_unit_variance_is_the_mean_square_without_a_half() -> None:
    assert loss("kl_unit_variance")(torch.tensor([[1.0, -2.0], [3.0, 0.0]])).item() == pytest.approx(14 / 4)


def test_gaussian_likelihood_is_torchs_with_its_constant() -> None:
    mean, logvar, target = (draw(4, 3, seed=seed) for seed in range(3))
    expected = F.gaussian_nll_loss(mean, target, logvar.exp(), full=True)
    assert loss("gaussian_nll")(mean, logvar, target).item() == pytest.approx(expected.item(), rel=1e-12)
    density = -Normal(mean, (logvar / 2).exp()).log_prob(target).mean()
    assert loss("gaussian_nll")(mean, logvar, target).item() == pytest.approx(density.item(), rel=1e-12)
    with pytest.raises(ValueError, match="different shapes"):
        loss("gaussian_nll")(mean, logvar, target[:1])


def test_mode_seeking_is_the_inverse_ratio_of_mean_distances() -> None:
    one, two = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[2.0, 5.0], [4.0, 1.0]])  # images 2 apart
    code, code_2 = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [-2.0]])  # codes 1.5 apart
    assert loss("mode_seeking")(one, two, code, code_2, eps=0.5).item() == pytest.approx(1.5 / 2.5)
    assert loss("mode_seeking")(one, one, code, code_2).item() == pytest.approx(1.5e5)  # collapsed, and finite
    near = [one.clone().requires_grad_(), (one + 0.1).requires_grad_()]
    loss("mode_seeking")(*near, code, code_2).backward()
    assert (near[0].grad > 0).all() and (near[1].grad < 0).all()  # a descent moves both images apart
    with pytest.raises(ValueError, match="different shapes"):
        loss("mode_seeking")(one, two, code, code_2[:1])


# ---- games ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", ["vanilla", "nsgan"])
def test_cross_entropy_is_torchs(game: str) -> None:
    def against(logits: list[Tensor], label: float) -> Tensor:
        return sum(F.binary_cross_entropy_with_logits(d, torch.full_like(d, label)) for d in logits)  # type: ignore[return-value]

    real, fake = TWO_SCALES
    expected = against(real, 1) + against(fake, 0)
    assert loss(f"{game}_discriminator")(real, fake).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(f"{game}_generator")(fake).item() == pytest.approx(against(fake, 1).item(), rel=1e-6)


def test_hinge_and_wasserstein_by_hand() -> None:
    real, fake = TWO_SCALES
    assert loss("hinge_discriminator")(real, fake).item() == pytest.approx((0 + 1) / 2 + 2 + (0 + 1.5) / 2 + 5)
    assert loss("wgan_discriminator")(real, fake).item() == pytest.approx((-2.5 / 2 + 4) - (2 / 2 - 1))
    for game in ("hinge", "wgan"):
        assert loss(f"{game}_generator")(fake).item() == pytest.approx(-(-2.5 / 2 + 4))
        assert loss(f"{game}_generator")(fake[1]).item() == -4.0  # one scale: a tensor


# ---- penalties of a gradient ----------------------------------------------------------------------------------------


class Linear(nn.Module):
    """A critic whose gradient is `weight` everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).flatten(1).sum(1, keepdim=True)


def test_a_linear_critic_of_slope_one_has_no_gradient_penalty() -> None:
    weight = draw(3, 4, 4)
    real, fake = draw(2, 3, 4, 4, seed=1), draw(2, 3, 4, 4, seed=2)
    assert loss("gradient_penalty")(Linear(weight / weight.norm()), real, fake).item() == pytest.approx(0, abs=1e-28)
    steep = Linear(3 * weight / weight.norm())
    assert loss("gradient_penalty")(steep, real, fake).item() == pytest.approx(4)
    assert loss("r1")(steep, real).item() == pytest.approx(4.5)
    flat = Linear(torch.zeros(3, 4, 4))  # no slope at all: the norm has no derivative there, the penalty stays finite
    penalty = loss("gradient_penalty")(flat, real.float(), fake.float())
    penalty.backward()
    assert penalty.item() == 1 and torch.isfinite(flat.weight.grad).all()
    with pytest.raises(ValueError, match="different shapes"):
        loss("gradient_penalty")(steep, real, fake[:1])


def test_the_penalty_looks_between_each_real_image_and_its_fake() -> None:
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum((1, 2, 3))[:, None]

    real, fake = torch.zeros(64, 1, 2, 2), torch.ones(64, 1, 2, 2) * torch.arange(1.0, 65)[:, None, None, None]
    penalty = loss("gradient_penalty")(critic, real, fake)
    (x,) = seen
    shares = x.flatten(1) / fake.flatten(1)
    assert torch.allclose(shares, shares[:, :1].expand(-1, 4))  # one number for a whole image
    assert 0 <= shares.min() < 0.1 and 0.9 < shares.max() <= 1 and shares[:, 0].unique().numel() == 64
    expected = (2 * x.flatten(1).norm(dim=1) - 1).square().mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)


def test_scales_are_summed_and_maps_averaged() -> None:
    x = draw(2, 1, 4, 4)

    def critic(x: Tensor) -> list[Tensor]:
        return [2 * x, 3 * x[..., ::2, ::2]]  # the value: 2 mean over 16 pixels + 3 mean over 4 of them

    slopes = torch.full((4, 4), 2 / 16, dtype=torch.float64)
    slopes[::2, ::2] += 3 / 4
    assert loss("r1")(critic, x).item() == pytest.approx(slopes.square().sum().item() / 2)
    assert loss("gradient_penalty")(critic, x, x).item() == pytest.approx((slopes.norm().item() - 1) ** 2)


def shipped(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return CATALOG.discriminators.get("multiscale_patch")(width=4, layers=2, scales=2, init="kaiming", **options)


@pytest.mark.parametrize("name", ["gradient_penalty", "r1"])
@pytest.mark.parametrize("norm", ["none", "instance", "layer", "spectral"])
def test_a_discriminators_parameters_get_a_second_order_gradient(name: str, norm: str) -> None:
    network = shipped(norm=norm).double()
    network.eval()  # spectral norm: its power iteration would move the function
    images = [draw(2, 3, 16, 16, seed=seed).requires_grad_() for seed in range(1 + (name == "gradient_penalty"))]

    def penalty() -> Tensor:
        torch.manual_seed(1)
        return loss(name)(network, *images)

    penalty().backward()
    assert all(x.grad is None for x in images)
    reached = [p for p in network.parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert len(reached) >= 4
    for index, parameter in enumerate(reached):
        direction, start = draw(*parameter.shape, seed=index), parameter.detach().clone()
        values = []
        for shift in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.copy_(start + shift * direction)
            values.append(penalty().item())
        with torch.no_grad():
            parameter.copy_(start)
        found = (parameter.grad * direction).sum().item()  # type: ignore[operator]
        assert found == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-7)


def test_penalties_are_fp32_inside_autocast() -> None:
    network, x = shipped(), draw(2, 3, 16, 16).float()
    expected = loss("r1")(network, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss("r1")(network, x), expected)
        assert loss("gradient_penalty")(network, x.bfloat16(), x.bfloat16()).dtype == torch.float32


def test_penalties_run_without_data() -> None:
    with torch.device("meta"):
        network, x = shipped(), torch.empty(2, 3, 16, 16)
        assert loss("r1")(network, x).shape == loss("gradient_penalty")(network, x, x).shape == ()
        assert loss("feature_matching")(network, x, x).shape == ()


def test_wasserstein_with_its_penalty_learns_a_distance() -> None:
    """Real at +1, fake at -1 in 2 dimensions: the best critic's gap is their distance, and no more."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    real, fake = torch.tensor([[1.0, 0.0]]).expand(32, 2), torch.tensor([[-1.0, 0.0]]).expand(32, 2)
    objective = []
    for _ in range(150):
        total = loss("wgan_discriminator")(critic(real), critic(fake))
        total = total + 10 * loss("gradient_penalty")(critic, real, fake)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        objective.append(total.item())
    assert objective[-1] < objective[0] - 1
    assert (critic(real) - critic(fake)).mean().item() == pytest.approx(2, abs=0.3)


# ---- feature matching -----------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """A discriminator with two layers of different sizes: 2x, and x's first half."""

    def features(self, x: Tensor) -> list[Tensor]:
        return [2 * x, x[..., :1]]


def test_feature_matching_is_the_mean_over_layers_of_l1() -> None:
    x, y = torch.tensor([[1.0, 4.0]], requires_grad=True), torch.tensor([[0.0, 0.0]], requires_grad=True)
    found = loss("feature_matching")(Layers(), x, y)
    assert found.item() == pytest.approx(((2 + 8) / 2 + 1) / 2)
    found.backward()
    assert x.grad.tolist() == [[1.0, 0.5]] and y.grad is None
    assert loss("feature_matching")(Layers(), x, x).item() == 0
    with pytest.raises(ValueError, match="different shapes"):
        loss("feature_matching")(Layers(), x, y[:, :1])


def test_a_discriminator_without_features_is_refused() -> None:
    with pytest.raises(RecipeError, match="Linear does not give its activations") as caught:
        loss("feature_matching")(Linear(torch.zeros(1)), torch.zeros(1), torch.zeros(1))
    assert "features(x)" in caught.value.fix


def test_features_are_the_activations_that_the_logits_are_made_of() -> None:
    network, x = shipped(), draw(2, 3, 32, 32).float()
    features, logits = network.features(x), network(x)
    assert [tuple(f.shape) for f in features] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 4, 8, 8), (2, 8, 4, 4)]
    for scale, last in enumerate((features[1], features[3])):
        assert torch.equal(network.scales[scale][-1](last), logits[scale])


def test_both_sides_of_feature_matching_are_augmented_alike() -> None:
    network, x = shipped(augment=["color", "flip"]).train(), draw(2, 3, 32, 32).float().clamp(-1, 1)
    torch.manual_seed(3)
    assert loss("feature_matching")(network, x, x).item() == 0
    assert not torch.equal(network.features(x)[0], network.features(x)[0])  # each call draws
