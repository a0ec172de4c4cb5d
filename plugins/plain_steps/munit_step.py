"""MUNIT's training step as one writes it down, eager and in fp32: what the engine's step is measured against.

It spends what the published step spends: the discriminators' turn builds the generators' graph and encodes styles that
nobody uses, the generators' turn collects gradients of the discriminators, and contents are encoded in both.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge_plugins.plain_steps.munit_networks import Discriminator, Generator

WEIGHTS = {"image": 10.0, "style": 1.0, "content": 1.0}


class MunitStep:
    """Networks and optimizers of both domains, and a step over them.

    Args:
        width: of the first convolutions; 64 as published.
        mlp_dim: width of the map from style to AdaIN; 256.
        seed: of the weights and the styles.
        device: where it runs.
    """

    def __init__(self, width: int = 64, mlp_dim: int = 256, seed: int = 0, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.gens: Any = nn.ModuleDict({domain: Generator(width, mlp_dim=mlp_dim) for domain in "ab"})
        self.diss: Any = nn.ModuleDict({domain: Discriminator(width) for domain in "ab"})
        for module in [*self.gens.modules(), *self.diss.modules()]:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.gens.to(device)
        self.diss.to(device)
        adam = partial(torch.optim.Adam, lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)
        self.gen_opt, self.dis_opt = adam(self.gens.parameters()), adam(self.diss.parameters())

    def step(self, a: Tensor, b: Tensor) -> dict[str, float]:
        """Both turns. a, b: N,3,H,W in [-1, 1]. Returns the two sums of losses."""
        return {"discriminator": self._discriminators(a, b), "generator": self._generators(a, b)}

    def _crossed(self, a: Tensor, b: Tensor) -> tuple[dict[str, Tensor], ...]:
        """By domain: contents, styles that were encoded, styles that were drawn, and translations into it."""
        drawn = {domain: torch.randn(len(x), 8, 1, 1, device=x.device) for domain, x in (("a", a), ("b", b))}
        contents, styles = {}, {}
        for domain, x in (("a", a), ("b", b)):
            contents[domain], styles[domain] = self.gens[domain].encode(x)
        fakes = {to: self.gens[to].decode(contents[at], drawn[to]) for at, to in (("b", "a"), ("a", "b"))}
        return contents, styles, drawn, fakes

    def _discriminators(self, a: Tensor, b: Tensor) -> float:
        self.dis_opt.zero_grad()
        *_, fakes = self._crossed(a, b)
        loss = torch.zeros((), device=a.device)
        for domain, real in (("a", a), ("b", b)):
            dis = self.diss[domain]
            for judged_fake, judged_real in zip(dis(fakes[domain].detach()), dis(real), strict=True):
                loss = loss + judged_fake.square().mean() + (judged_real - 1).square().mean()
        loss.backward()
        self.dis_opt.step()
        return float(loss.detach())

    def _generators(self, a: Tensor, b: Tensor) -> float:
        self.gen_opt.zero_grad()
        contents, styles, drawn, fakes = self._crossed(a, b)
        loss = torch.zeros((), device=a.device)
        for at, to, real in (("a", "b", a), ("b", "a", b)):
            content, style = self.gens[to].encode(fakes[to])
            judged = sum((logits - 1).square().mean() for logits in self.diss[to](fakes[to]))
            image = (self.gens[at].decode(contents[at], styles[at]) - real).abs().mean()
            loss = loss + judged + WEIGHTS["image"] * image
            loss = loss + WEIGHTS["style"] * (style - drawn[to]).abs().mean()
            loss = loss + WEIGHTS["content"] * (content - contents[at]).abs().mean()
        loss.backward()
        self.gen_opt.step()
        return float(loss.detach())
