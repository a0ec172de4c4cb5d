"""Losses that are wrong in one way each, and what the kit says of them."""

import pytest
import torch

from i2i_forge.errors import PluginError


def unreduced(input, target):
    """Not a number."""
    return (input - target).abs()


def no_tensor(input, target):
    """Is no tensor."""
    return (input - target).abs().mean().item()


def infinite(input, target):
    """Divides by zero."""
    return (input - target).abs().mean() / 0


def elsewhere(input, target):
    """Leaves torch."""
    return torch.tensor((input - target).abs().mean().item())


def one_sided(input, target):
    """Forgets the target."""
    return (input - target.detach()).abs().mean()


def unbounded_slope(input, target):
    """Has a root of zero."""
    return (input - target).square().sum().sqrt() + (input - input.detach()).square().sum().sqrt()


def in_place(input, target):
    """Changes its input."""
    with torch.no_grad():
        input.data.mul_(0.5)
    return (input - target).abs().mean()


def moving(input, target):
    """Remembers."""
    moving.calls = getattr(moving, "calls", 0) + 1
    return moving.calls * (input - target).abs().mean()


def halved(input, target):
    """Is float16."""
    return (input - target).abs().mean().half()


def needs_words(input, words):
    """Takes something that cannot be guessed."""
    return (input * len(words[0].text)).mean()


BROKEN_LOSSES = [
    (unreduced, "runs", "gives 2x3x64x64 instead of one number; end with `.mean()`"),
    (no_tensor, "runs", "gives float instead of a tensor with one number"),
    (infinite, "runs", "gives inf for (input: 2x3x64x64, target: 2x3x64x64)"),
    (elsewhere, "gradients", "no gradient at all"),
    (one_sided, "gradients", "no gradient reaches 'target'; if that is meant"),
    (unbounded_slope, "gradients", "its gradient for 'input' is not finite"),
    (in_place, "leaves_inputs_alone", "changes an argument in place"),
    (moving, "deterministic", "two calls with the same arguments"),
    (halved, "float32", "torch.float16 for float32 tensors"),
    (needs_words, "runs", "cannot be called with (input: 2x3x64x64, words: 2x3x64x64): AttributeError"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_LOSSES, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_loss_is_found(failures, component, check, says):
    found = failures("losses", component)
    assert check in found and says in found[check]
    assert set(found) - {check} <= ({"deterministic"} if component is in_place else set())


def test_a_plugin_says_what_is_meant(failures):
    assert failures("losses", one_sided, constant=["target"]) == {}
    assert failures("losses", halved, skip={"float32": "it is a report"}) == {}
    words = [type("Word", (), {"text": "four"})()]
    assert set(failures("losses", needs_words, inputs=lambda loss: [torch.rand(2, 3), words])) == {"gradients"}


def test_a_mistake_in_checks_is_named(failures):
    with pytest.raises(PluginError, match="'mine' has the unknown key 'constants'\nfix: did you mean 'constant'"):
        failures("losses", one_sided, constants=["target"])
