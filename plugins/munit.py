"""MUNIT: Multimodal Unsupervised Image-to-Image Translation (Huang, Liu, Belongie, Kautz; ECCV 2018, arXiv 1804.04732).

An image x is a content code c = E^c(x), whose space the domains share, and a style code s = E^s(x) of its own domain.
A translation keeps the content and draws the style, s ~ N(0, I); another draw is another translation.

    the paper                       here
    c1, s1 = E1(x1)                 content, style
    G1(c1, s1)                      reconstruction      eq. 1  image  = |reconstruction - source|
    s2 ~ q(s2) = N(0, I)            random_style
    x12 = G2(c1, s2)                translation
    E2^c(x12)                       recovered_content   eq. 2  content = |recovered_content - content|
    E2^s(x12)                       recovered_style     eq. 3  style   = |recovered_style - random_style|
    D2(x2), D2(x12)                 real_logits, fake_logits   eq. 4  gan
    G2(c1, s2'), another s2'        translation_2, random_style_2, for terms that compare two draws
    G1(E2^c(x12), s1)               cycled              section 5.1, style-augmented cycle = |cycled - source|
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from i2i_forge import Catalog, ForwardPass, Trainer, hookimpl, tensor


class MunitForward(ForwardPass):
    """One direction of MUNIT; the trainer runs it both ways."""

    source: Tensor  # images of the domain we leave
    target: Tensor  # unrelated images of the domain we enter

    @tensor
    def content(self) -> Tensor:
        return self.src.content_encoder(self.source)

    @tensor
    def style(self) -> Tensor:
        return self.src.style_encoder(self.source)

    @tensor
    def reconstruction(self) -> Tensor:
        return self.src.decoder(self.content, self.style)

    @tensor
    def random_style(self) -> Tensor:
        return self.noise(len(self.source), self.dst.style_encoder.dim, like=self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content, self.random_style)

    @tensor
    def random_style_2(self) -> Tensor:
        return self.noise(len(self.source), self.dst.style_encoder.dim, like=self.source)

    @tensor
    def translation_2(self) -> Tensor:
        return self.dst.decoder(self.content, self.random_style_2)

    @tensor
    def recovered_content(self) -> Tensor:
        return self.dst.content_encoder(self.translation)

    @tensor
    def recovered_style(self) -> Tensor:
        return self.dst.style_encoder(self.translation)

    @tensor
    def cycled(self) -> Tensor:
        return self.src.decoder(self.recovered_content, self.style)

    @tensor
    def real_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.target)

    @tensor
    def fake_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.translation)


class Munit(Trainer):
    """Multimodal unsupervised translation: content and style codes, AdaIN decoder."""

    forward_pass = MunitForward
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {
        "content_encoder": "encoders",
        "style_encoder": "encoders",
        "decoder": "decoders",
        "discriminator": "discriminators",
    }
    latents: ClassVar = {"random_style": "style"}


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("munit", Munit)
