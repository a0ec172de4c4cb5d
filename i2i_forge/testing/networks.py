"""Promises of encoders, decoders and discriminators."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.testing.inputs import (
    CPU,
    HINT,
    arguments,
    differ,
    double,
    far,
    images,
    leaves,
    mapped,
    normal,
    outputs,
    shapes,
)
from i2i_forge.testing.subject import Subject, described


def runs(subject: Subject) -> Iterator[str]:
    """It is built and gives finite tensors, a row for each sample."""
    options = ", ".join(f"{key}={value!r}" for key, value in subject.options().items())
    try:
        network = subject.build()
    except Exception as error:
        yield f"it cannot be built with ({options}): {described(error)}; CHECKS may give other `options`"
        return
    given: list[Any] = []
    try:
        given = arguments(subject, network)
        found = outputs(network.train(), given)
    except Exception as error:
        yield f"built with ({options}), it cannot be called with {shapes(leaves(given))}: {described(error)}"
        yield HINT % (subject.kind, subject.name)
        return
    if not found:
        yield "it returns neither a tensor nor a list of tensors"
    if not all(bool(out.isfinite().all()) for out in found):
        yield f"called with {shapes(leaves(given))}, it gives numbers that are not finite"
    if any(out.dim() == 0 or len(out) != len(leaves(given)[0]) for out in found):
        yield f"called with {shapes(leaves(given))}, it gives {shapes(found)}: not a row for each sample"


def tells_its_shape(subject: Subject) -> Iterator[str]:
    """A code's length is its `dim`, what it divides sides by its `stride`; a decoder's images are in [-1, 1]."""
    network = subject.build().eval()
    given = arguments(subject, network)
    found = outputs(network, given)
    if subject.kind == "decoders":
        channels = _channels(subject) or 3
        if any(out.dim() == 4 and out.shape[1] == channels and float(out.detach().abs().max()) > 1 for out in found):
            yield "its images are not in [-1, 1]: end with tanh"
    elif subject.kind == "encoders" and all(out.dim() == 2 for out in found):
        if getattr(network, "dim", None) != found[0].shape[1]:
            yield f"it gives codes of length {found[0].shape[1]}, and its attribute `dim` does not say so"
    elif subject.kind == "encoders" and all(out.dim() == 4 for out in found):
        side, smallest = leaves(given)[0].shape[-1], min(out.shape[-1] for out in found)
        if getattr(network, "stride", 1) != side // smallest:
            yield (
                f"it divides sides by {side // smallest}, and its attribute `stride` is "
                f"{getattr(network, 'stride', 'missing')}: images would not be padded to what it takes"
            )


def any_channels(subject: Subject) -> Iterator[str]:
    """Where it has the option `channels`, it runs with 1, 2 and 5 of them, and a decoder's images have so many."""
    own = _channels(subject)
    for count in (1, 2, 5) if own else ():
        try:
            with seeded(0, CPU):
                network = subject.component(**{**subject.options(), "channels": count})
            given = arguments(subject, network)
            if subject.kind != "decoders":
                given = [mapped(lambda x: _of_channels(x, own, count), value) for value in given]  # noqa: B023
            found = outputs(network.train(), given)
        except Exception as error:
            yield f"built with channels={count}, it does not run: {described(error)}"
            continue
        if subject.kind == "decoders" and any(out.dim() == 4 and out.shape[1] != count for out in found):
            yield f"built with channels={count}, it gives {shapes(found)}"


def _channels(subject: Subject) -> int | None:
    """The channels of its images; None where they are no option."""
    option = inspect.signature(subject.component).parameters.get("channels")
    said = subject.options().get("channels", option and option.default)
    return said if isinstance(said, int) else None


def _of_channels(x: Tensor, own: int | None, count: int) -> Tensor:
    """Images of so many channels in place of images."""
    return images(len(x), x.shape[2], x.shape[3], channels=count) if x.dim() == 4 and x.shape[1] == own else x


def gradients(subject: Subject) -> Iterator[str]:
    """Gradients reach every parameter and every input."""
    network = subject.build().train()
    given = [mapped(lambda x: x.clone().requires_grad_(x.is_floating_point()), v) for v in arguments(subject, network)]
    found = outputs(network, given)
    with seeded(1, CPU):
        loss = torch.stack([(out * torch.randn_like(out)).sum() for out in found]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            yield f"no gradient reaches the parameter '{name}': is it used?"
        elif parameter.grad is not None and not parameter.grad.isfinite().all():
            yield f"the gradient of '{name}' is not finite"
    for place, value in enumerate(leaves(given)):
        if value.is_floating_point() and (value.grad is None or not value.grad.abs().sum() > 0):
            yield f"no gradient reaches input {place}, so what comes before it cannot learn"


def eval_is_a_function(subject: Subject) -> Iterator[str]:
    """In eval mode the same input gives the same output, and nothing is changed by a call."""
    network, given = double(subject)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    asked = [value.clone() for value in leaves(given)]
    first = leaves(network(*given))
    if differ(leaves(given), asked):
        yield "it changes its input in place"
        return
    if differ(leaves(network(*given)), first):
        yield "in eval mode two calls with the same input give different outputs"
    for name, value in network.state_dict().items():
        if not torch.equal(value, before[name]):
            yield f"a call in eval mode changes its '{name}'"


def samples_apart(subject: Subject) -> Iterator[str]:
    """In eval mode the output for a sample does not depend on the others of its batch."""
    network, given = double(subject)
    together = outputs(network, given)
    alone = outputs(network, [mapped(lambda x: x[1:], value) for value in given])
    if far(alone, [out[1:] for out in together], 1e-9):
        yield "in eval mode a sample's output depends on the other samples of its batch"


def state_comes_back(subject: Subject) -> Iterator[str]:
    """A state dict loaded into a new instance gives the same output, bit for bit."""
    network, other = subject.build().eval(), subject.build().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(0.5)
    other.load_state_dict(network.state_dict())
    given = arguments(subject, network)
    if differ(outputs(other, given), outputs(network, given)):
        yield "its state dict does not hold all that its output depends on: make it a parameter or a buffer"


def copies(subject: Subject) -> Iterator[str]:
    """A deep copy gives the same output."""
    network = subject.build().eval()
    given = arguments(subject, network)
    if differ(outputs(copy.deepcopy(network), given), outputs(network, given)):
        yield "a deep copy of it gives another output"


def bfloat16(subject: Subject) -> Iterator[str]:
    """In bfloat16 autocast its output is finite and close to that of float32."""
    network = subject.build().train()
    given = arguments(subject, network)
    with torch.no_grad():
        expected = outputs(network, given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = outputs(network, given)
    for one, other in zip(found, expected, strict=True):
        error, size = float((one.float() - other).abs().mean()), float(other.abs().mean())
        if not one.isfinite().all():
            yield "in bfloat16 autocast its output is not finite"
        elif error > 0.05 * size + 0.02:
            yield f"in bfloat16 autocast its output, {size:.2g} on average, is off by {error:.2g}"


def channels_last(subject: Subject) -> Iterator[str]:
    """The memory format channels_last changes nothing but rounding, in outputs and in the gradients for one image."""
    network, given = double(subject)
    expected, derived = outputs(network, given), _gradients(network, given, lambda x: x)
    network, last = network.to(memory_format=torch.channels_last), [mapped(_last, value) for value in given]
    if far(outputs(network, last), expected, 1e-8, 1e-9):
        yield "with the memory format channels_last its output is another: does it use `view` or strides?"
    elif far(_gradients(network, last, _last), derived, 1e-6, 1e-9):
        yield (
            "with the memory format channels_last its gradients for one image are others: torch's instance norm is "
            "wrong there, i2i_forge.nn.InstanceNorm is not"
        )


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _gradients(network: nn.Module, given: list[Any], lay: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Of the first sample and of the parameters, for incoming gradients that lie in memory as `lay` says."""
    one = [mapped(lambda x: lay(x[:1]).detach().requires_grad_(x.is_floating_point()), value) for value in given]
    found = outputs(network, [mapped(Tensor.clone, value) for value in one])
    wanted = [value for value in (*leaves(one), *network.parameters()) if value.requires_grad]
    incoming = [lay(normal(*out.shape).to(out.dtype)) for out in found]
    gradients = torch.autograd.grad(found, wanted, incoming, allow_unused=True)
    return [gradient for gradient in gradients if gradient is not None]


def without_data(subject: Subject) -> Iterator[str]:
    """It is built and runs on the device "meta", as `forge check` does."""
    network = subject.build()
    given = arguments(subject, network)
    expected = shapes(outputs(network, given))
    with torch.device("meta"):
        shadow = subject.component(**subject.options())
    with seeded(0, CPU):
        found = shapes(leaves(shadow(*[mapped(lambda x: x.to("meta"), value) for value in given])))
    if found != expected:
        yield f'on the device "meta" it gives {found} instead of {expected}'


CHECKS = (
    tells_its_shape, any_channels, gradients, eval_is_a_function, samples_apart, state_comes_back, copies, bfloat16,
    channels_last, without_data,
)  # fmt: skip
