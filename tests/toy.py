"""A method small enough to check by hand: an encoder, a decoder with a code, a critic, an image pool."""

from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.catalog.registry import Catalog
from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.forward_pass import ForwardPass, frozen, tensor
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.reading import Recipe


class Encoder(nn.Module):
    def __init__(self, dropout: float = 0.0, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.dropout(self.norm(self.conv(x)))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Linear(2, 4)
        self.conv = nn.Conv2d(4, 3, 3, padding=1)
        self.calls = 0

    def forward(self, content: Tensor, code: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.conv(content + self.code(code)[:, :, None, None]))


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 4, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Pool(nn.Module):
    """Keeps the mean of what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen += images.detach().mean().to(self.seen.dtype)
        return images


class ToyForward(ForwardPass):
    @tensor
    def content(self) -> Tensor:
        return self.src.encoder(self.source)

    @tensor
    def target_content(self) -> Tensor:
        return self.dst.encoder(self.target)

    @tensor
    def code(self) -> Tensor:
        return self.noise(len(self.source), 2, like=self.source)

    @tensor
    def two_draws(self) -> Tensor:
        return torch.stack([self.noise(2, 2, like=self.source), self.noise(2, 2, like=self.source)])

    @tensor
    def drawn_around(self) -> Tensor:
        """Draws, asks for another tensor that draws, and draws again."""
        before = self.noise(2, 2, like=self.source)
        return torch.stack([before, self.code, self.noise(2, 2, like=self.source)])

    @tensor
    def masked(self) -> Tensor:
        return F.dropout(torch.ones_like(self.source), 0.5)

    @tensor
    def masked_again(self) -> Tensor:
        return F.dropout(torch.ones_like(self.source), 0.5)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content, self.code)

    @tensor
    def recovered(self) -> Tensor:
        return self.dst.encoder(self.translation)

    @tensor
    def judged(self) -> Tensor:
        """The encoder as a fixed function."""
        return frozen(self.dst.encoder)(self.translation)

    @tensor
    def reverse_content(self) -> Tensor:
        return self.reverse.content

    @tensor
    def cycled(self) -> Tensor:
        return self.reverse.dst.decoder(self.recovered, self.reverse.code)

    @tensor
    def real_logits(self) -> Tensor:
        return self.dst.critic(self.target)

    @tensor
    def fake_logits(self) -> Tensor:
        return self.dst.critic(self.translation)

    @tensor
    def pooled_logits(self) -> Tensor:
        return self.dst.critic(self.state["pool"](self.translation))

    @tensor
    def chicken(self) -> Tensor:
        return self.egg

    @tensor
    def egg(self) -> Tensor:
        return self.chicken

    @tensor
    def broken(self) -> Tensor:
        raise ValueError("a mistake of the author")

    @tensor
    def after_broken(self) -> Tensor:
        return self.broken + 1

    @tensor
    def labels(self) -> Tensor:
        return self.input("labels")


class Toy(Trainer):
    forward_pass = ToyForward
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "critic": "discriminators"}
    latents: ClassVar = {"code": "content"}
    state: ClassVar = {"pool": Pool}


def mse(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().mean()


def size(x: Tensor) -> Tensor:
    return x.square().mean()


def mean(x: Tensor) -> Tensor:
    return x.mean()


def catalog() -> Catalog:
    made = Catalog()
    made.trainers.add("toy", Toy)
    made.encoders.add("conv", Encoder)
    made.decoders.add("conv", Decoder)
    made.discriminators.add("conv", Critic)
    for loss in (mse, size, mean):
        made.losses.add(loss.__name__, loss)
    return made


PLAYERS: dict[str, Any] = {
    "critic": {
        "trains": ["critic"],
        "minimize": {"real": "1 * size(real_logits)", "fake": "1 * size(fake_logits)"},
    },
    "translator": {
        "trains": ["encoder", "decoder"],
        "minimize": {"gan": "2 * size(fake_logits)", "cycle": "10 * mse(cycled, source)"},
    },
}
SGD = {"default": {"use": "sgd", "lr": 0.1}}
ADAM = {"default": {"use": "adam", "lr": 0.01}}


def recipe(phases: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """The toy's recipe with these phases and other sections."""
    data = {
        "trainer": "toy",
        "seed": 3,
        "steps": 10,
        "data": {"use": "none", "size": 8, "batch": 2},
        "networks": {
            "encoder": {"use": "conv", "per": ["a", "b"]},
            "decoder": {"use": "conv", "per": ["a", "b"]},
            "critic": {"use": "conv", "per": ["a", "b"]},
        },
        "optimizers": SGD,
        "phases": PLAYERS if phases is None else phases,
    }
    return Recipe.model_validate(deepcopy(data | changes))


def build(phases: dict[str, Any] | None = None, *, of: Catalog | None = None, dtype: Any = None, **changes: Any) -> Any:
    return build_trainer(recipe(phases, **changes), of or catalog(), dtype=dtype or torch.float32)


def images(count: int = 2, seed: int = 0, size: int = 8) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {domain: torch.rand(count, 3, size, size, generator=draws) * 2 - 1 for domain in ("a", "b")}


def weights(trainer: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.state_dict().items()}


def changed(trainer: Any, before: dict[str, Tensor]) -> set[str]:
    """The roles whose state is no longer what it was."""
    return {name.partition(".")[0] for name, value in trainer.state_dict().items() if not value.equal(before[name])}


def only(term: str, trains: tuple[str, ...] = ("encoder", "decoder"), **options: Any) -> dict[str, Any]:
    """One phase with one term on route ab."""
    return {"phase": {"trains": list(trains), "minimize": {"term": {"ab": term}}, **options}}
