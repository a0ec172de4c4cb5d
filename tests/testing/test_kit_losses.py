"""Losses that are wrong in one way each, and what the kit says of them."""

import pytest
import torch

from i2i_forge.errors import PluginError


def loss(function):
    """A loss with a docstring."""
    function.__doc__ = "A difference."
    return function


one_sided = loss(lambda input, target: (input - target.detach()).abs().mean())
halved = loss(lambda input, target: (input - target).abs().mean().half())
needs_words = loss(lambda input, words: (input * len(words[0].text)).mean())
in_place = loss(lambda input, target: (input.data.mul_(0.5) - target).abs().mean() + (input - target).abs().mean())


@loss
def unbounded_slope(input, target):
    return (input - target).square().sum().sqrt() + (input - input.detach()).square().sum().sqrt()


@loss
def moving(input, target):
    moving.calls = getattr(moving, "calls", 0) + 1
    return moving.calls * (input - target).abs().mean()


BROKEN_LOSSES = [
    (loss(lambda input, target: (input - target).abs()), "runs",
     "gives 2x3x64x64 instead of one number; end with `.mean()`"),
    (loss(lambda input, target: (input - target).abs().mean().item()), "runs",
     "gives float instead of a tensor with one number"),
    (loss(lambda input, target: (input - target).abs().mean() / 0), "runs",
     "gives inf for (input: 2x3x64x64, target: 2x3x64x64)"),
    (loss(lambda input, target: torch.tensor((input - target).abs().mean().item())), "gradients",
     "no gradient at all"),
    (one_sided, "gradients", "no gradient reaches 'target'; if that is meant"),
    (unbounded_slope, "gradients", "its gradient for 'input' is not finite"),
    (in_place, "leaves_inputs_alone", "changes an argument in place"),
    (moving, "deterministic", "two calls with the same arguments"),
    (halved, "float32", "torch.float16 for float32 tensors"),
    (needs_words, "runs", "cannot be called with (input: 2x3x64x64, words: 2x3x64x64): AttributeError"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_LOSSES, ids=[row[2] for row in BROKEN_LOSSES])
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
