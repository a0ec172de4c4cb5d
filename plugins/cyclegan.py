"""CycleGAN: unpaired translation with cycle-consistent adversarial networks (Zhu, Park, Isola, Efros; ICCV 2017).

arXiv 1703.10593. A generator leads from one domain to the other and back; one leaves with the encoder of the domain it
comes from and arrives with the decoder of the domain it goes to.

    the paper                       here (route ab; route ba exchanges X and Y)
    G : X -> Y                      decoder.b(encoder.a(x))
    F : Y -> X                      decoder.a(encoder.b(y))
    G(x)                            translation
    D_Y(y), D_Y(G(x))               real_logits, fake_logits   eq. 1  gan, least squares as in section 4
    F(G(x))                         cycled                     eq. 2  cycle = |cycled - source|
    G(y)                            identity                   section 5.2, L_identity = |identity - target|
    the 50 last generated images    pooled_translation         section 4, after Shrivastava et al. 2017

`cyclegan_noise` is the baseline "CycleGAN* with noise" of MUNIT's Table 1: the generators, U-Nets, also take a code
that is drawn anew whenever one runs.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from i2i_forge import Catalog, ForwardPass, Trainer, hookimpl, tensor
from i2i_forge.nn import ImagePool


class CycleganForward(ForwardPass):
    """One direction of CycleGAN; the trainer runs it both ways."""

    source: Tensor  # images of the domain we leave
    target: Tensor  # unrelated images of the domain we enter

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source))

    @tensor
    def cycled(self) -> Tensor:
        return self.src.decoder(self.dst.encoder(self.translation))

    @tensor
    def identity(self) -> Tensor:
        """What the generator makes of an image that is in its domain already."""
        return self.dst.decoder(self.src.encoder(self.target))

    @tensor
    def real_logits(self) -> Tensor:
        return self.dst.discriminator(self.target)

    @tensor
    def fake_logits(self) -> Tensor:
        return self.dst.discriminator(self.translation)

    @tensor
    def pooled_translation(self) -> Tensor:
        """This translation or an older one."""
        return self.state["image_pool"](self.translation)

    @tensor
    def pooled_fake_logits(self) -> Tensor:
        return self.dst.discriminator(self.pooled_translation)


class CycleganNoiseForward(CycleganForward):
    """The same, with a code drawn for every run of a generator."""

    @tensor
    def random_code(self) -> Tensor:
        return self._code(self.src.encoder, self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source, self.random_code))

    @tensor
    def cycled(self) -> Tensor:
        return self.src.decoder(self.dst.encoder(self.translation, self._code(self.dst.encoder, self.translation)))

    @tensor
    def identity(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.target, self._code(self.src.encoder, self.target)))

    def _code(self, encoder: Any, images: Tensor) -> Tensor:
        return self.noise(len(images), encoder.code_dim, like=images)


class Cyclegan(Trainer):
    """Unpaired translation: two generators, the inverse of each other."""

    forward_pass = CycleganForward
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "discriminator": "discriminators"}
    state: ClassVar = {"image_pool": ImagePool}


class CycleganNoise(Trainer):
    """CycleGAN whose generators also take a random code."""

    forward_pass = CycleganNoiseForward
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "discriminator": "discriminators"}
    latents: ClassVar = {"random_code": None}
    state: ClassVar = {"image_pool": ImagePool}


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("cyclegan", Cyclegan)
    catalog.trainers.add("cyclegan_noise", CycleganNoise)
