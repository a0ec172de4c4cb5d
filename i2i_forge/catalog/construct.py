"""Building components with a recipe's options; what cannot be built is a mistake in the recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from i2i_forge.errors import ForgeError, RecipeError, ResourceError
from i2i_forge.system.hardware import memory, ran_out

LAYERS = 20_000  # of one network


def call(component: Any, options: Mapping[str, Any], where: str) -> Any:
    """Build a component with a recipe's options. Raises RecipeError that shows the component's signature."""
    try:
        return component(**options)
    except ForgeError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, MemoryError, RuntimeError) as error:
        if (sizes := ran_out(error)) is not None:
            raise ResourceError(f"{where}: out of memory{sizes}", fix="lower its numbers") from error
        signature = f"{getattr(component, '__name__', component)}{inspect.signature(component)}"
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise RecipeError(f"{where}: {cause}", fix=f"it is built as {signature}") from error


def refuse_what_cannot_be_built(where: str, build: Callable[[], object]) -> None:
    """Build a network without memory, so that one of endless depth or size is found before it takes hours or all of it.

    Args:
        where: its key in the recipe.
        build: makes it; what else is wrong with it is found when it is built in earnest.

    Raises:
        RecipeError: it has more than LAYERS layers.
        ResourceError: its weights alone are larger than this machine's memory.
    """
    layers, weights, size = count(1), set[nn.Parameter](), 0

    def layer(*_: Any) -> None:
        if next(layers) > LAYERS:
            raise RecipeError(f"{where}: it has more than {LAYERS:,} layers", fix="lower its depth: levels, blocks ...")

    def weight(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        nonlocal size
        if value is None or value in weights:
            return
        weights.add(value)
        size += value.nbytes
        if size > memory():
            raise ResourceError(
                f"{where}: its weights alone take more than the {memory() / 2**30:,.0f} GiB that this machine has",
                fix="lower its width or depth",
            )

    with ExitStack() as hooks:
        hooks.callback(register_module_module_registration_hook(layer).remove)
        hooks.callback(register_module_parameter_registration_hook(weight).remove)
        try:
            with torch.device("meta"):
                build()
        except ForgeError:
            raise
        except Exception:
            return
