"""What the kit does not ask of everything in the catalog (tests/testing): its choices, its derivatives, its words."""

import inspect
from typing import Any

import pytest
import torch
from loaded import CATALOG, HOST
from network_inputs import SMALL, inputs_of, run
from torch import Tensor, nn

from i2i_forge.catalog.registry import Entry
from i2i_forge.engine.trainer import Trainer
from i2i_forge.nn import initialize

NETWORKS = [e for r in (CATALOG.encoders, CATALOG.decoders, CATALOG.discriminators) for e in r.entries()]
KIND = {id(e): r.kind for r in (CATALOG.encoders, CATALOG.decoders, CATALOG.discriminators) for e in r.entries()}
LOSSES = CATALOG.losses.entries()

# Weights are files to be downloaded by hand: test_perceptual_losses.py and test_lpips_loss.py make some.
NEEDS_A_FILE = {"domain_invariant_perceptual", "domain_invariant_perceptual_torchvision", "lpips"}


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def options_of(component: Any) -> set[str]:
    return set(inspect.signature(component).parameters)


def build(entry: Entry, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    small = {name: value for name, value in SMALL.items() if name in options_of(entry.component)}
    return entry.component(**small, **changes)


def inputs(entry: Entry, network: nn.Module, side: int = 64) -> list[Tensor]:
    return inputs_of(KIND[id(entry)], entry.name, network, side)


def outputs_of(entry: Entry, network: nn.Module, given: list[Tensor]) -> list[Tensor]:
    return flat(run(KIND[id(entry)], entry.name, network, given))


def flat(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else [part for item in output for part in flat(item)]


every_network = pytest.mark.parametrize("entry", NETWORKS, ids=names(NETWORKS))


@every_network
def test_every_documented_choice_builds_and_a_wrong_one_is_refused(entry: Entry) -> None:
    lines = inspect.cleandoc(entry.component.__doc__ or "").splitlines()
    for option, last in {"norm": "spectral", "activation": "none", "padding": "zero", "init": "default"}.items():
        if option not in options_of(entry.component):
            continue
        line = next(text for text in lines if text.strip().startswith(f"{option}:"))
        choices = line[: line.index(last) + len(last)].replace(";", ",").split(":")[-1].split(",")
        assert len(choices) >= 3
        for choice in choices:
            network = build(entry, **{option: choice.strip()})
            given = inputs(entry, network, 128 if option == "norm" else 64)  # an instance norm needs several pixels
            assert all(torch.isfinite(out).all() for out in outputs_of(entry, network, given)), (option, choice)
        with pytest.raises(ValueError, match=f"{option} 'mistyped' is not one of"):
            build(entry, **{option: "mistyped"})


@every_network
def test_initialisation_follows_the_seed_alone(entry: Entry) -> None:
    one, same = build(entry), build(entry)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    initialize(one, "gaussian")


# ---- losses --------------------------------------------------------------------------------------------------------

CHECKED = [entry for entry in LOSSES if entry.name not in NEEDS_A_FILE]
# What a loss looks at without a gradient, as its paper has it. Feature matching is the generator's: D is frozen.
CONSTANT = {("gradient_penalty", "real"), ("gradient_penalty", "fake"), ("r1", "real"), ("feature_matching", "target")}
CONSTANT |= {
    ("feature_matching", "discriminator"),
    *((name, "mask") for name in ("masked_l1", "masked_l2", "masked_ssim")),
}

every_loss = pytest.mark.parametrize("entry", CHECKED, ids=names(CHECKED))


class Critic(nn.Module):
    """A small smooth discriminator of two scales."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(5)
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        return [torch.tanh(self.first(x)), torch.tanh(self.first(x[..., ::2, ::2]))]

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.last(found) for found in self.features(x)]


def needed(entry: Entry) -> list[str]:
    """The tensors, and perhaps networks, that a loss takes."""
    return [p.name for p in inspect.signature(entry.component).parameters.values() if p.default is p.empty]


def tensors_for(entry: Entry, dtype: torch.dtype = torch.float32) -> list[Any]:
    """Logits or a network where a parameter is called so, otherwise batches of one shape."""
    draws = torch.Generator().manual_seed(2)
    made: list[Any] = []
    for name in needed(entry):
        if name == "discriminator":
            made.append(Critic().to(dtype).requires_grad_((entry.name, name) not in CONSTANT))
            continue
        shape = (2, 1, 4, 4) if "logits" in name else (2, 3, 8, 8)
        value = torch.randn(shape, generator=draws).to(dtype).requires_grad_()
        made.append([value, (value[..., ::2, ::2] * 3)] if "logits" in name else value)
    return made


def leaves_of(entry: Entry, given: list[Any]) -> dict[str, Tensor]:
    """What the loss has a gradient for: its tensors, and the weight of a network's first layer."""
    leaves = {}
    for name, value in zip(needed(entry), given, strict=True):
        if (entry.name, name) not in CONSTANT:
            part = value.first.weight if isinstance(value, nn.Module) else value
            leaves[name] = part[0] if isinstance(part, list) else part
    return leaves


def compute(entry: Entry, given: list[Any]) -> Tensor:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)  # a gradient penalty draws where to look
        return entry.component(*given)


@every_loss
def test_a_losss_gradient_is_its_derivative(entry: Entry) -> None:
    given = tensors_for(entry, torch.float64)
    compute(entry, given).backward()
    for name, value in zip(needed(entry), given, strict=True):
        if (entry.name, name) in CONSTANT and isinstance(value, Tensor):
            assert value.grad is None

    def at(shift: float, which: str, direction: Tensor) -> float:
        moved = tensors_for(entry, torch.float64)
        with torch.no_grad():
            leaves_of(entry, moved)[which].add_(shift * direction)
        args = [[v[0], v[0][..., ::2, ::2] * 3] if isinstance(v, list) else v for v in moved]
        return compute(entry, args).item()

    for index, (name, leaf) in enumerate(leaves_of(entry, given).items()):
        direction = torch.randn(leaf.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(index))
        difference = (at(1e-6, name, direction) - at(-1e-6, name, direction)) / 2e-6
        assert leaf.grad is not None
        assert (leaf.grad * direction).sum().item() == pytest.approx(difference, rel=1e-4, abs=1e-8)


@every_loss
def test_a_loss_stays_finite_at_extremes(entry: Entry) -> None:
    given: list[Any] = []
    for name, value in zip(needed(entry), tensors_for(entry), strict=True):
        factor = 10 if name == "logvar" else 1e4  # a variance of e^30 is extreme
        if isinstance(value, nn.Module):
            given.append(value)
        else:
            given.append([v.detach() * factor for v in value] if isinstance(value, list) else value.detach() * factor)
    assert torch.isfinite(compute(entry, given))


def test_a_game_with_one_scale_takes_a_tensor_and_sums_over_many() -> None:
    for entry in CHECKED:
        given = tensors_for(entry)
        if not all(isinstance(value, list) for value in given):
            continue
        scales = [[value[scale] for value in given] for scale in range(2)]
        apart = sum(float(entry.component(*scale).detach()) for scale in scales)
        assert entry.component(*given).item() == pytest.approx(apart, rel=1e-5)


def test_least_squares_and_distances_by_hand() -> None:
    real, fake = [torch.tensor([1.0, 3.0]), torch.tensor([2.0])], [torch.tensor([2.0, 0.0]), torch.tensor([-1.0])]
    losses = CATALOG.losses
    assert losses.get("lsgan_discriminator")(real, fake).item() == pytest.approx((0 + 4) / 2 + 1 + (4 + 0) / 2 + 1)
    assert losses.get("lsgan_generator")(fake).item() == pytest.approx((1 + 1) / 2 + 4)
    one, other = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.0]])
    assert losses.get("l1")(one, other).item() == 2.0
    assert losses.get("mse")(one, other).item() == 4.0
    for name in ("l1", "mse"):
        with pytest.raises(ValueError, match=r"different shapes: \(1, 2\) and \(1, 1\)"):
            losses.get(name)(one, other[:, :1])


# ---- trainers and documentation ------------------------------------------------------------------------------------

TRAINERS = CATALOG.trainers.entries()


@pytest.mark.parametrize("entry", TRAINERS, ids=names(TRAINERS))
def test_a_trainers_words_fit_together(entry: Entry) -> None:
    method = entry.component
    assert issubclass(method, Trainer)
    by_route = {route: set(method.pass_along(route).tensors()) for route in method.routes}
    assert all("translation" in tensors for tensors in by_route.values())
    assert set(method.roles.values()) <= {"encoders", "decoders", "discriminators"}
    assert set(method.optional_roles) <= set(method.roles)
    assert {name for pair in method.latents.items() for name in pair if name} <= set.union(*by_route.values())
    assert all(len(domains) == 2 for domains in method.routes.values())


def test_everything_registered_is_documented() -> None:
    for registry in CATALOG.registries():
        for entry in registry.entries():
            documentation = inspect.getdoc(entry.component)
            assert documentation, f"{registry.kind}: {entry.origin} has no docstring"
            assert documentation != inspect.getdoc(nn.Module)
            if registry.kind in ("trainers", "metrics") or not inspect.isclass(entry.component):
                continue  # they are built by the framework, from their parts
            for option in options_of(entry.component):
                assert f"{option}:" in documentation or f"{option}," in documentation, f"{entry.origin}: {option}"


def test_the_catalog_is_not_empty() -> None:
    assert not [plugin for plugin in HOST.plugins if getattr(plugin, "reason", None)]
    assert {"residual_content", "pooled_style"} <= set(CATALOG.encoders)
    assert {"l1", "lsgan_generator"} <= set(CATALOG.losses)
    assert not any(registry.clashes() for registry in CATALOG.registries())
