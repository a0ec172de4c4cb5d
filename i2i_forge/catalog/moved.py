"""Where the modules of version 0.1 are now: plugins may import them by their old names until version 0.3."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {  # below i2i_forge: what docs/plugins.md named, and what the built-in plugins, which authors copy, imported
    "build": "engine.build",
    "checkpoint": "run.checkpoint",
    "distributed": "system.distributed",
    "evaluation": "measure",
    "foreign": "run.foreign",
    "forward_pass": "engine.forward_pass",
    "hookspecs": "catalog.hookspecs",
    "images": "data.images",
    "metrics": "measure",
    "mode_classifier": "measure.mode_classifier",
    "paths": "system.files",
    "plugins": "catalog.loading",
    "precision": "system.precision",
    "registry": "catalog.registry",
    "seeding": "system.seeding",
    "trainer": "engine.trainer",
    "weights": "system.weights",
}


class _Finder(MetaPathFinder, Loader):
    """Finds a moved module by its old name: a stand-in that has what the new one has."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        known = package == "i2i_forge" and rest.partition(".")[0] in MOVED
        return ModuleSpec(name, self, is_package=True) if known else None

    def exec_module(self, module: ModuleType) -> None:
        old, _, rest = module.__name__.removeprefix("i2i_forge.").partition(".")
        new = ".".join(filter(None, ("i2i_forge", MOVED[old], rest)))
        found = importlib.import_module(new)
        warnings.warn(f"{module.__name__} is {new} now", DeprecationWarning, stacklevel=2)
        module.__dict__["__getattr__"] = lambda name: getattr(found, name)


def find_moved_modules() -> None:
    """Let old names be imported; called once, when i2i_forge is."""
    sys.meta_path.append(_Finder())
