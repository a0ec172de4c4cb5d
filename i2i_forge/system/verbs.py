"""Packages whose name is also that of a public verb: `i2i_forge.translate(...)`, `i2i_forge.measure(...)`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def callable_package(package: str, verb: str) -> None:
    """Let a package be called; the function, "translate.translator.translate", is imported when it is."""
    module, _, name = verb.rpartition(".")

    def call(_: ModuleType, *arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(f"i2i_forge.{module}"), name)(*arguments, **options)

    sys.modules[package].__class__ = type("Verb", (ModuleType,), {"__call__": call})
