"""Trainers whose translation is known: the source itself, or what is made of a code or a mask."""

from pathlib import Path
from typing import Any

import torch
from loaded import CATALOG
from torch import Tensor, nn
from toy import size

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains
from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.forward_pass import ForwardPass, tensor
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.reading import Recipe
from i2i_forge.translate import Translator
from i2i_forge.translate.cases import translate_cases


class Idle(nn.Module):
    """A recipe has a network; this one is not asked."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None]


class Identity(ForwardPass):
    channels = 1  # of the target

    @tensor
    def translation(self) -> Tensor:
        """The source, whose channels are repeated as often as it takes."""
        return self.source[:, [number % self.source.shape[1] for number in range(self.channels)]]


class Coded(Identity):
    @tensor
    def code(self) -> Tensor:
        return self.noise(len(self.source), 1, like=self.source)

    @tensor
    def code_of(self) -> Tensor:
        return self.target.mean((1, 2, 3))[:, None]

    @tensor
    def translation(self) -> Tensor:
        return self.code[:, :, None, None].expand(-1, self.channels, *self.source.shape[2:]) / 4


class Masked(Identity):
    @tensor
    def translation(self) -> Tensor:
        return torch.where(self.input("mask") == 1, self.source, -self.source)


class Broken(Identity):
    @tensor
    def translation(self) -> Tensor:
        return self.source / 0 * 0


def catalog(forward: type[ForwardPass], channels: int) -> Catalog:
    """With the trainer `double`, and the data sets and file formats that are shipped."""
    made = Catalog()
    made.datasets, made.files = CATALOG.datasets, CATALOG.files
    options = {
        "forward_pass": type("Pass", (forward,), {"channels": channels}),
        "routes": {"ab": ("a", "b")}, "roles": {"encoder": "encoders"},
        "latents": {"code": "code_of"} if forward is Coded else {},
    }  # fmt: skip
    made.encoders.add("idle", Idle)
    made.losses.add("size", size)
    made.trainers.add("double", type("Double", (Trainer,), options))
    return made


class Double:
    """A run, as if, whose translations are known.

    Args:
        domains: as in a recipe.
        forward: what it computes.
        data: further options of the data set `cases`.
    """

    def __init__(self, domains: dict[str, Any], forward: type[ForwardPass] = Identity, **data: Any) -> None:
        text = {
            "trainer": "double", "seed": 1, "steps": 1, "data": {"use": "cases", "root": ".", "batch": 1, **data},
            "domains": domains, "networks": {"encoder": {"use": "idle"}},
            "optimizers": {"default": {"use": "adam", "lr": 1.0}},
            "phases": {"never": {"trains": ["encoder"], "minimize": {"size": "1 * size(translation)"}}},
        }  # fmt: skip
        recipe = Recipe.model_validate(text)
        bare = Domains.of(recipe, catalog(forward, 1))
        known = catalog(forward, len(bare["b"]))
        self.domains = Domains.of(recipe, known)
        self.translator = Translator(build_trainer(recipe, known), recipe, 5, "abc")

    def __call__(self, inputs: Any, out: Path, **options: Any) -> list[Path]:
        """`translate_cases` of a file, a folder or several."""
        several = inputs if isinstance(inputs, list) else [inputs]
        return translate_cases(self.translator, self.domains, several, out, **options)[:-1]
