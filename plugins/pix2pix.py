"""pix2pix: Image-to-Image Translation with Conditional Adversarial Networks (Isola, Zhu, Zhou, Efros; CVPR 2017,
arXiv 1611.07004).

The images come in pairs x, y. A U-Net G makes y from x; its only noise z is dropout. The discriminator judges the pair.

    the paper                       here
    x, y                            source, target
    G(x, z)                         translation
    D(x, y), D(x, G(x, z))          real_pair_logits, fake_pair_logits   eq. 1  gan
    D(y), D(G(x, z))                real_logits, fake_logits             eq. 2  the unconditional variant, section 3.1
    |y - G(x, z)|                                                        eq. 3  image = 100 * |translation - target|

In inference the paper goes on with dropout and with the batch norms' statistics of what they are given (section 3.3);
a U-Net does so with `dropout_at_test: true` and `statistics_at_test: batch`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from i2i_forge import Catalog, ForwardPass, Trainer, hookimpl, tensor


class Pix2pixForward(ForwardPass):
    """From a domain to the other, on paired images."""

    source: Tensor  # images of the domain we leave
    target: Tensor  # what they look like in the domain we enter

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source))

    @tensor
    def real_pair(self) -> Tensor:
        return torch.cat([self.source, self.target], dim=1)

    @tensor
    def fake_pair(self) -> Tensor:
        return torch.cat([self.source, self.translation], dim=1)

    @tensor
    def real_pair_logits(self) -> Tensor | list[Tensor]:
        return self.dst.discriminator(self.real_pair)

    @tensor
    def fake_pair_logits(self) -> Tensor | list[Tensor]:
        return self.dst.discriminator(self.fake_pair)

    @tensor
    def real_logits(self) -> Tensor | list[Tensor]:
        return self.dst.discriminator(self.target)

    @tensor
    def fake_logits(self) -> Tensor | list[Tensor]:
        return self.dst.discriminator(self.translation)


class Pix2pix(Trainer):
    """Paired translation: U-Net, patch discriminator of pairs, distance to the target."""

    forward_pass = Pix2pixForward
    routes: ClassVar = {"ab": ("a", "b")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "discriminator": "discriminators"}
    optional_roles: ClassVar = ("discriminator",)  # without it: regression


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("pix2pix", Pix2pix)


CHECKS = {"pix2pix": {"skip": {"tensors": "a recipe's discriminator judges pairs or single images, not both"}}}
