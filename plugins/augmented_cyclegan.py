"""Augmented CycleGAN: many-to-many mappings from unpaired data (Almahairi et al., ICML 2018, arXiv 1802.10151).

An image of domain b is an image of a and a code z_b ~ N(0, I) of what a does not show; as in the published code, a has
no code. Route ab draws the code, route ba gives an image of a and infers the code.

    the paper                     here
    G_AB(a, z_b), G_BA(b)         ab: translation, with random_code; ba: translation
    E_B(a, b)                     mean, logvar        ba: of (translation, source); ab: of the pair (source, target)
    z~_b                          mean, or with a stochastic encoder sampled_code, clamped to [-4, 4]
    D_A, D_B; D_Zb                real_logits, fake_logits; random_code_logits, code_logits
    G_BA(G_AB(a, z_b))            ab: cycled          |cycled - source|
    E_B(a, G_AB(a, z_b))          ab: recovered_mean  |recovered_mean - random_code|
    G_AB(G_BA(b), z~_b)           ba: cycled          |cycled - source|; StochCycleGAN: cycled_random, with z_b
    G_AB(a, E_B(a, b))            ab: reconstruction  |reconstruction - target|, of pairs
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from i2i_forge import Catalog, DomainNetworks, ForwardPass, Trainer, hookimpl, tensor


def to_b(a: DomainNetworks, b: DomainNetworks, image: Tensor, code: Tensor) -> Tensor:
    """G_AB."""
    return b.decoder(a.encoder(image, code), code)


class CodedForward(ForwardPass):
    """What both directions have: the code that an image of b hides, and what the discriminators say."""

    posterior: tuple[Tensor, Tensor]
    translation: Tensor

    @tensor
    def mean(self) -> Tensor:
        return self.posterior[0]

    @tensor
    def logvar(self) -> Tensor:
        return self.posterior[1]

    @tensor
    def sampled_code(self) -> Tensor:
        return (self.mean + (self.logvar / 2).exp() * self.noise(*self.mean.shape, like=self.mean)).clamp(-4, 4)

    @tensor
    def real_logits(self) -> Tensor:
        return self.dst.discriminator(self.target)

    @tensor
    def fake_logits(self) -> Tensor:
        return self.dst.discriminator(self.translation)

    @tensor
    def code_logits(self) -> Tensor:
        return self.src.code_discriminator(self.mean)


class ToCodedForward(CodedForward):
    """a and a code -> b. In a paired stream `target` is the source's counterpart."""

    @tensor
    def random_code(self) -> Tensor:
        return self.noise(len(self.source), self.src.encoder.code_dim, like=self.source)

    @tensor
    def random_code_logits(self) -> Tensor:
        return self.src.code_discriminator(self.random_code)

    @tensor
    def translation(self) -> Tensor:
        return to_b(self.src, self.dst, self.source, self.random_code)

    @tensor
    def cycled(self) -> Tensor:
        return self.src.decoder(self.dst.encoder(self.translation))

    @tensor
    def recovered(self) -> tuple[Tensor, Tensor]:
        return self.src.code_encoder(self.translation, self.source)

    @tensor
    def recovered_mean(self) -> Tensor:
        return self.recovered[0]

    @tensor
    def recovered_logvar(self) -> Tensor:
        return self.recovered[1]

    @tensor
    def posterior(self) -> tuple[Tensor, Tensor]:
        return self.src.code_encoder(self.target, self.source)

    @tensor
    def reconstruction(self) -> Tensor:
        return to_b(self.src, self.dst, self.source, self.mean)


class FromCodedForward(CodedForward):
    """b -> a and the code."""

    @tensor
    def random_code_logits(self) -> Tensor:
        return self.src.code_discriminator(self.reverse.random_code)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source))

    @tensor
    def posterior(self) -> tuple[Tensor, Tensor]:
        return self.src.code_encoder(self.source, self.translation)

    @tensor
    def cycled(self) -> Tensor:
        return to_b(self.dst, self.src, self.translation, self.mean)

    @tensor
    def cycled_sampled(self) -> Tensor:
        return to_b(self.dst, self.src, self.translation, self.sampled_code)

    @tensor
    def cycled_random(self) -> Tensor:
        return to_b(self.dst, self.src, self.translation, self.reverse.random_code)


class AugmentedCycleGan(Trainer):
    """Augmented CycleGAN: domain b has a code that translations draw and an encoder recovers."""

    forward_pass: ClassVar = {"ab": ToCodedForward, "ba": FromCodedForward}
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {
        "encoder": "encoders",
        "decoder": "decoders",
        "discriminator": "discriminators",
        "code_encoder": "encoders",
        "code_discriminator": "discriminators",
    }
    optional_roles: ClassVar = ("code_encoder", "code_discriminator")
    sees: ClassVar = {"code_encoder": "pair"}
    latents: ClassVar = {"random_code": "mean"}


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("augmented_cyclegan", AugmentedCycleGan)
