"""i2i_forge: image-to-image translation from recipes and plugins.

    recipe = i2i_forge.load_recipe("munit_synthetic", set=["data.size=64"], drop=["generator.style"])
    trainer = i2i_forge.build_trainer(recipe, device="cpu")
    report = trainer.step({"a": a, "b": b}, step=0)       # {"generator/style/ab": unweighted loss, ...}
    translator = i2i_forge.load("runs/munit_synthetic")   # the newest verified checkpoint
    translator("photo.jpg", styles=3).save("out.png")     # files, PIL images, arrays or tensors; out-00.png ...
    images = translator.translate(x, route="ab")          # N,3,H,W in [-1, 1]
    found = i2i_forge.measure("lpips-diversity", several)  # N,K,3,H,W: K translations of each of N inputs

Importing this package does not import torch; using these names does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from i2i_forge.catalog.moved import find_moved_modules
from i2i_forge.system.verbs import names_from

if TYPE_CHECKING:
    from i2i_forge.catalog.hookspecs import RunView, hookimpl
    from i2i_forge.catalog.registry import Catalog
    from i2i_forge.engine.api import build_trainer, load_recipe
    from i2i_forge.engine.forward_pass import ForwardPass, frozen, tensor
    from i2i_forge.engine.networks import DomainNetworks
    from i2i_forge.engine.trainer import Trainer
    from i2i_forge.errors import ForgeError
    from i2i_forge.measure.tensors import measure
    from i2i_forge.recipe.reading import Recipe
    from i2i_forge.translate.loading import load, translate
    from i2i_forge.translate.translator import Translator

__all__ = [
    "Catalog",
    "DomainNetworks",
    "ForgeError",
    "ForwardPass",
    "Recipe",
    "RunView",
    "Trainer",
    "Translator",
    "build_trainer",
    "frozen",
    "hookimpl",
    "load",
    "load_recipe",
    "measure",
    "tensor",
    "translate",
]

_HOMES = {
    "Catalog": "catalog.registry",
    "DomainNetworks": "engine.networks",
    "ForgeError": "errors",
    "ForwardPass": "engine.forward_pass",
    "Recipe": "recipe.reading",
    "RunView": "catalog.hookspecs",
    "Trainer": "engine.trainer",
    "Translator": "translate.translator",
    "build_trainer": "engine.api",
    "frozen": "engine.forward_pass",
    "hookimpl": "catalog.hookspecs",
    "load": "translate.loading",
    "load_recipe": "engine.api",
    "measure": "measure.tensors",
    "tensor": "engine.forward_pass",
    "translate": "translate.loading",
}

find_moved_modules()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("i2i-forge")
    return names_from(__name__, _HOMES)(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
