"""Names of packages that are imported when they are used; packages that are called: `i2i_forge.translate(...)`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def names_from(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: {"load": "translate.loading"} gives i2i_forge.translate.loading.load."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(f"i2i_forge.{homes[name]}"), name)

    return get


def callable_package(package: str, verb: str) -> None:
    """Let a package be called; the function, "translate.loading.translate", is imported when it is."""
    module, _, name = verb.rpartition(".")

    def call(_: ModuleType, *arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(f"i2i_forge.{module}"), name)(*arguments, **options)

    sys.modules[package].__class__ = type("Verb", (ModuleType,), {"__call__": call})
