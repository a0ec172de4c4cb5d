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


@pytest.mark.parametrize(("kind", "component"), [("encoders", Encoder), ("encoders", Code), ("decoders", Decoder)])
def test_correct_networks_pass_without_being_told_their_inputs(failures, kind, component):
    assert not {check: text for check, text in failures(kind, component).items() if check != "documented_options"}


class WithoutStride(Encoder):
    """Says nothing of its stride."""

    stride = 1


class WithoutDim(Code):
    """Says a wrong length."""

    dim = 8


class Unbounded(Decoder):
    """Ends without tanh."""

    def forward(self, content, style):
        return 3 * self.conv(content) + self.style(style)[:, :, None, None]


class Unused(Encoder):
    """Has a layer that nothing uses."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


class Detached(Encoder):
    """Cuts its input off."""

    def forward(self, x):
        return self.conv(x.detach())


class InPlace(Encoder):
    """Changes its input."""

    def forward(self, x):
        with torch.no_grad():
            x *= 0.5
        return self.conv(x)


class Random(Encoder):
    """Draws in eval mode."""

    def forward(self, x):
        return self.conv(x) + torch.rand(())


class Counting(Encoder):
    """Changes a buffer at every call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.conv(x)


class BatchStatistics(Encoder):
    """Normalises over the batch even in eval mode."""

    def forward(self, x):
        found = self.conv(x)
        return found - found.mean(0)


class Forgetful(Encoder):
    """Has a random constant that its state dict does not hold."""

    made = 0

    def __init__(self):
        super().__init__()
        Forgetful.made += 1
        self.shift = float(self.made)

    def forward(self, x):
        return self.conv(x) + self.shift


class ByIdentity(Encoder):
    """Depends on which object it is."""

    def __init__(self):
        super().__init__()
        self.me = [id(self)]

    def forward(self, x):
        return self.conv(x) * (1.0 if id(self) == self.me[0] else 2.0)


class Cancelling(Encoder):
    """Loses all digits of bfloat16."""

    def forward(self, x):
        found = self.conv(x)
        return (found + 1000) - 1000 if found.dtype == torch.float32 else (found + 1000) - 1000 + 1


class Strides(Encoder):
    """Reads memory as it lies."""

    def forward(self, x):
        found = self.conv(x)
        return found * (1.0 if found.stride(1) > 1 else 2.0)


class TorchsNorm(Encoder):
    """Has a norm whose gradients depend on the memory format."""

    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(4)

    def forward(self, x):
        return self.norm(super().forward(x))


class Device(Encoder):
    """Makes a tensor on the CPU whatever its input's device."""

    def forward(self, x):
        return self.conv(x) + torch.ones(1, 4, 32, 32, device="cpu")


class Mean(Encoder):
    """Gives a number for the whole batch."""

    def forward(self, x):
        return super().forward(x).mean()


class Infinite(Encoder):
    """Divides by zero."""

    def forward(self, x):
        return self.conv(x) / 0


class Text(Encoder):
    """Gives no tensor."""

    def forward(self, x):
        return "features"


class Raises(Encoder):
    """Cannot be called."""

    def forward(self, x):
        raise ValueError("sides must be 100")


class Needs(Encoder):
    """Cannot be built without options."""

    def __init__(self, size):
        super().__init__()


BROKEN_NETWORKS = [
    ("encoders", WithoutStride, "tells_its_shape", "divides sides by 2, and its attribute `stride` is 1"),
    ("encoders", WithoutDim, "tells_its_shape", "codes of length 4, and its attribute `dim` does not say so"),
    ("decoders", Unbounded, "tells_its_shape", "not in [-1, 1]: end with tanh"),
    ("encoders", Unused, "gradients", "no gradient reaches the parameter 'spare.weight'"),
    ("encoders", Detached, "gradients", "no gradient reaches input 0"),
    ("encoders", InPlace, "eval_is_a_function", "changes its input in place"),
    ("encoders", Random, "eval_is_a_function", "two calls with the same input give different outputs"),
    ("encoders", Counting, "eval_is_a_function", "a call in eval mode changes its 'calls'"),
    ("encoders", BatchStatistics, "samples_apart", "depends on the other samples"),
    ("encoders", Forgetful, "state_comes_back", "its state dict does not hold all"),
    ("encoders", ByIdentity, "copies", "a deep copy of it gives another output"),
    ("encoders", Cancelling, "bfloat16", "in bfloat16 autocast its output"),
    ("encoders", Strides, "channels_last", "channels_last its output is another"),
    ("encoders", TorchsNorm, "channels_last", "its gradients for one image are others: torch's instance norm is wrong"),
    ("encoders", Device, "without_data", "meta"),
    ("encoders", Mean, "runs", "it gives a scalar: not a row for each sample"),
    ("discriminators", Infinite, "runs", "not finite"),
    ("discriminators", Text, "runs", "neither a tensor nor a list of tensors"),
    ("discriminators", Raises, "runs", "called with 2x3x64x64: ValueError: sides must be 100 (test_kit_networks.py"),
    ("discriminators", Raises, "runs", 'CHECKS = {"discriminators.mine": {"inputs": lambda component: [...]}}'),
    ("encoders", Needs, "runs", "cannot be built with (): TypeError"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "component", "check", "says"), BROKEN_NETWORKS, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_broken_network_is_found(failures, kind, component, check, says):
    found = failures(kind, component)
    assert set(found) - {"documented_options"} == {check}
    assert says in found[check]
