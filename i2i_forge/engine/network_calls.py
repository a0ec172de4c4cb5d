"""How often a network is called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from inspect import isfunction
from typing import Any

from torch import nn


class Calls:
    """Counts the calls of a network, of any of its layers by itself, and of its methods that run layers.

    Args:
        network: whose calls count; what it calls itself meanwhile does not.
        called: is told of each.
        hooks: takes away what is put on the network.
    """

    def __init__(self, network: nn.Module, called: Callable[[], None], hooks: ExitStack) -> None:
        self.called, self.depth, self.runs = called, 0, False
        for module in network.modules():
            hooks.callback(module.register_forward_pre_hook(self._enter).remove)
            hooks.callback(module.register_forward_hook(self._leave, always_call=True).remove)
        for name in _own_methods(type(network)) - vars(network).keys():
            setattr(network, name, partial(self._method, getattr(network, name)))
            hooks.callback(delattr, network, name)

    def _enter(self, module: nn.Module, given: Any) -> None:
        if not self.depth:
            self.called()
        self.depth, self.runs = self.depth + 1, True

    def _leave(self, module: nn.Module, given: Any, output: Any) -> None:
        self.depth -= 1

    def _method(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.depth:
            return method(*args, **options)
        self.depth, self.runs = 1, False
        try:
            return method(*args, **options)
        finally:
            self.depth = 0
            if self.runs:
                self.called()


def _own_methods(kind: type) -> set[str]:
    """The public methods of a network's class beside `forward`, without those that every module has."""
    names = set(dir(kind)) - set(dir(nn.Module))
    return {name for name in names if not name.startswith("_") and isfunction(getattr(kind, name))}
