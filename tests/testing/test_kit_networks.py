"""Networks that are wrong in one way each, and what the kit says of them."""

import pytest
import torch
from torch import nn


class Encoder(nn.Module):
    """Image -> features of half the size; correct."""

    stride = 2

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 2, 1)

    def forward(self, x):
        return self.conv(x)


class Code(Encoder):
    """Image -> code; correct."""

    dim = 4

    def forward(self, x):
        return super().forward(x).mean((2, 3))


class Decoder(nn.Module):
    """Features and style -> image; correct."""

    def __init__(self, style_dim=5):
        super().__init__()
        self.conv, self.style = nn.Conv2d(8, 3, 3, padding=1), nn.Linear(style_dim, 3)

    def forward(self, content, style):
        return (self.conv(content) + self.style(style)[:, :, None, None]).tanh()


class OfChannels(Encoder):
    """Image of so many channels -> features; correct."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 4, 2, 1)


class ThreeAlone(OfChannels):
    """Makes RGB of three channels whatever it has."""

    def forward(self, x):
        return super().forward(x * x.new_ones(3, 1, 1))


class AlwaysThree(Decoder):
    """Decodes RGB whatever `channels` says."""

    def __init__(self, style_dim=5, channels=3):
        super().__init__(style_dim)


@pytest.mark.parametrize(
    ("kind", "component"), [("encoders", Encoder), ("encoders", Code), ("decoders", Decoder), ("encoders", OfChannels)]
)
def test_correct_networks_pass_without_being_told_their_inputs(failures, kind, component):
    assert not {check: text for check, text in failures(kind, component).items() if check != "documented_options"}


def network(forward=None, base=Encoder, **attributes):
    """A network with another `forward` or other attributes."""
    changed = {"__doc__": "Changed.", **attributes, **({"forward": forward} if forward else {})}
    return type("Changed", (base,), changed)


def with_layer(name, make, forward=None):
    """An encoder with one more layer, buffer or attribute."""

    def init(self):
        Encoder.__init__(self)
        setattr(self, name, make(self))

    return network(forward, __init__=init)


def in_place(self, x):
    with torch.no_grad():
        x *= 0.5
    return self.conv(x)


def counting(self, x):
    self.calls += 1
    return self.conv(x)


def cancelling(self, x):
    """Loses all digits of bfloat16."""
    found = self.conv(x)
    return (found + 1000) - 1000 if found.dtype == torch.float32 else (found + 1000) - 1000 + 1


def strides(self, x):
    found = self.conv(x)
    return found * (1.0 if found.stride(1) > 1 else 2.0)


def raises(self, x):
    raise ValueError("sides must be 100")


def needs(self, size):
    nn.Module.__init__(self)


MADE = iter(range(1, 1000))
BROKEN_NETWORKS = [
    ("encoders", network(stride=1), "tells_its_shape", "divides sides by 2, and its attribute `stride` is 1"),
    ("encoders", network(base=Code, dim=8), "tells_its_shape", "codes of length 4, and its attribute `dim` does not"),
    ("decoders", network(lambda self, content, style: 3 * self.conv(content) + self.style(style)[:, :, None, None],
                         Decoder), "tells_its_shape", "not in [-1, 1]: end with tanh"),
    ("encoders", with_layer("spare", lambda self: nn.Linear(2, 2)), "gradients",
     "no gradient reaches the parameter 'spare.weight'"),
    ("encoders", network(lambda self, x: self.conv(x.detach())), "gradients", "no gradient reaches input 0"),
    ("encoders", network(in_place), "eval_is_a_function", "changes its input in place"),
    ("encoders", network(lambda self, x: self.conv(x) + torch.rand(())), "eval_is_a_function",
     "two calls with the same input give different outputs"),
    ("encoders", with_layer("calls", lambda self: nn.Buffer(torch.zeros(())), counting), "eval_is_a_function",
     "a call in eval mode changes its 'calls'"),
    ("encoders", network(lambda self, x: self.conv(x) - self.conv(x).mean(0)), "samples_apart",
     "depends on the other samples"),
    ("encoders", with_layer("shift", lambda self: float(next(MADE)), lambda self, x: self.conv(x) + self.shift),
     "state_comes_back", "its state dict does not hold all"),
    ("encoders", with_layer("me", lambda self: [id(self)],
                            lambda self, x: self.conv(x) * (1.0 if id(self) == self.me[0] else 2.0)),
     "copies", "a deep copy of it gives another output"),
    ("encoders", network(cancelling), "bfloat16", "in bfloat16 autocast its output"),
    ("encoders", network(strides), "channels_last", "channels_last its output is another"),
    ("encoders", with_layer("norm", lambda self: nn.InstanceNorm2d(4), lambda self, x: self.norm(self.conv(x))),
     "channels_last", "its gradients for one image are others: torch's instance norm is wrong"),
    ("encoders", network(lambda self, x: self.conv(x) + torch.ones(1, 4, 32, 32, device="cpu")), "without_data",
     "meta"),
    ("encoders", network(lambda self, x: self.conv(x).mean()), "runs", "it gives a scalar: not a row for each sample"),
    ("discriminators", network(lambda self, x: self.conv(x) / 0), "runs", "not finite"),
    ("discriminators", network(lambda self, x: "features"), "runs", "neither a tensor nor a list of tensors"),
    ("discriminators", network(raises), "runs",
     "called with 2x3x64x64: ValueError: sides must be 100 (test_kit_networks.py"),
    ("discriminators", network(raises), "runs",
     'CHECKS = {"discriminators.mine": {"inputs": lambda component: [...]}}'),
    ("encoders", ThreeAlone, "any_channels", "built with channels=2, it does not run: RuntimeError"),
    ("decoders", AlwaysThree, "any_channels", "built with channels=5, it gives 2x3x16x16"),
    ("encoders", network(__init__=needs), "runs", "cannot be built with (): TypeError"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "component", "check", "says"), BROKEN_NETWORKS, ids=[row[3] for row in BROKEN_NETWORKS]
)
def test_a_broken_network_is_found(failures, kind, component, check, says):
    found = failures(kind, component)
    assert set(found) - {"documented_options"} == {check}
    assert says in found[check]
