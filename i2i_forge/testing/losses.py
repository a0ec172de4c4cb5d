"""Promises of losses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.system.precision import autocast
from i2i_forge.testing.inputs import HINT, differ, leaves, loss_inputs, mapped, required, shapes
from i2i_forge.testing.subject import Subject, described

CPU = torch.device("cpu")


def built(subject: Subject) -> Any:
    """The loss as a recipe's term calls it: a class is built once, a function gets its options at each call."""
    if not isinstance(subject.component, type):
        return partial(subject.component, **subject.example.options)
    loss = subject.build()
    return loss.requires_grad_(False) if isinstance(loss, nn.Module) else loss


def arguments(subject: Subject, loss: Any) -> dict[str, Any]:
    """What it is called with, by the parameters' names; tensors that require gradients but for the constant ones."""
    plain = loss.func if isinstance(loss, partial) else loss
    given = subject.example.inputs(plain) if subject.example.inputs else loss_inputs(plain)
    call = plain.forward if isinstance(plain, nn.Module) else plain
    named = dict(zip((p.name for p in required(call)), given, strict=True))
    for name, value in named.items():
        wanted = name not in subject.example.constant
        named[name] = _leaf(value, wanted=wanted)
    return named


def called(subject: Subject) -> tuple[Any, dict[str, Any]]:
    """The loss and its arguments."""
    loss = built(subject)
    return loss, arguments(subject, loss)


def _leaf(value: Any, *, wanted: bool) -> Any:
    if isinstance(value, nn.Module):
        return value.requires_grad_(wanted)
    return mapped(lambda x: x.detach().clone().requires_grad_(wanted and x.is_floating_point()), value)


def value_of(loss: Any, given: dict[str, Any]) -> Any:
    """The loss of these arguments; it always draws the same."""
    with seeded(0, CPU):
        return loss(*given.values())


def runs(subject: Subject) -> Iterator[str]:
    """It gives one finite number."""
    try:
        loss = built(subject)
    except Exception as error:
        yield f"it cannot be built: {described(error)}; CHECKS may give `options`, or `skip` this check with a reason"
        return
    given: dict[str, Any] = {}
    try:
        given = arguments(subject, loss)
        value = value_of(loss, given)
    except Exception as error:
        yield f"it cannot be called with {_shown(given)}: {described(error)}"
        yield HINT % (subject.kind, subject.name)
        return
    if not isinstance(value, Tensor):
        yield f"it gives {type(value).__name__} instead of a tensor with one number"
    elif value.shape != ():
        yield f"it gives {shapes([value])} instead of one number; end with `.mean()`"
    elif not value.isfinite():
        yield f"it gives {float(value.detach())} for {_shown(given)}"


def _shown(given: dict[str, Any]) -> str:
    """`(input: 2x3x64x64, target: 2x3x64x64)`."""
    return f"({', '.join(f'{name}: {shapes(leaves(v)) or type(v).__name__}' for name, v in given.items())})"


def gradients(subject: Subject) -> Iterator[str]:
    """Its gradient reaches every argument that is not said to be constant."""
    loss, given = called(subject)
    value = value_of(loss, given)
    if not value.requires_grad:
        yield "it has no gradient at all: does it leave torch, or detach?"
        return
    value.backward()
    for name, argument in given.items():
        parts = list(argument.parameters()) if isinstance(argument, nn.Module) else leaves(argument)
        reached = [part.grad for part in parts if part.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in reached):
            yield f"its gradient for '{name}' is not finite"
        elif name not in subject.example.constant and not any(bool(g.abs().sum() > 0) for g in reached):
            yield f"no gradient reaches '{name}'; if that is meant, name it in CHECKS: {{'constant': ['{name}']}}"


def leaves_inputs_alone(subject: Subject) -> Iterator[str]:
    """It does not change its arguments."""
    loss, given = called(subject)
    plain = {name: _leaf(value, wanted=isinstance(value, nn.Module)) for name, value in given.items()}
    before = [value.clone() for value in leaves(list(plain.values()))]
    value_of(loss, plain)
    if differ(leaves(list(plain.values())), before):
        yield "it changes an argument in place, and other terms compare the same tensors"


def deterministic(subject: Subject) -> Iterator[str]:
    """The same arguments and random state give the same number."""
    loss, given = called(subject)
    first, second = (value_of(loss, given).detach() for _ in range(2))
    if not torch.equal(first, second):
        yield (
            f"two calls with the same arguments give {float(first):.9g} and {float(second):.9g}: draw with torch's "
            "global generator, which is seeded for each term, and remember nothing"
        )


def float32(subject: Subject) -> Iterator[str]:
    """It is float32 in a bfloat16 run, where losses get float32 tensors outside autocast."""
    loss, given = called(subject)
    with autocast(CPU, "bf16"), autocast(CPU, "fp32"):
        value = value_of(loss, given)
    if value.dtype != torch.float32:
        yield f"it gives {value.dtype} for float32 tensors"


CHECKS = (gradients, leaves_inputs_alone, deterministic, float32)
