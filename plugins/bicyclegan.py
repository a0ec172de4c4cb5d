"""BicycleGAN: Toward Multimodal Image-to-Image Translation (Zhu et al., NIPS 2017, arXiv 1711.11586), on pairs A, B.

    the paper                               here
    A, B                                    source, target
    E(B), z ~ E(B) (cVAE-GAN)               mean, logvar; code                    L_KL: kl = kl(mean, logvar)
    G(A, z), z ~ E(B)                       reconstruction                        L_1: image = |reconstruction - target|
    D(B), D(G(A, z)), z ~ E(B)              target_logits, reconstruction_logits  L_GAN^VAE: vae_gan
    z ~ p(z) = N(0, I), G(A, z) (cLR-GAN)   random_code, translation
    D(B), D(G(A, z)), z ~ p(z)              real_logits, fake_logits              L_GAN: gan
    E(G(A, z))                              recovered_mean         L_1^latent: code = |recovered_mean - random_code|

As in the published code L_1^latent moves G, not E; and everything is made from one half of a batch (the even samples,
for a rank's are a slice of the whole batch's), while the other half's B are what is real to the discriminator of
cLR-GAN. Discriminators see B alone; where they have channels for A too, terms name `fake_pair_logits` and its like.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, cat

from i2i_forge import Catalog, ForwardPass, Trainer, frozen, hookimpl, tensor
from i2i_forge.errors import RecipeError


class BicycleganForward(ForwardPass):
    """From A to B. In training source and target are a half of the batch."""

    def input(self, name: str, half: int = 0) -> Tensor:
        images = super().input(name)
        if self.training and len(images) % 2:
            raise RecipeError(f"data.batch: {len(images)} images on a rank have no two halves", fix="make it even")
        return images[half::2] if self.training else images

    @tensor
    def posterior(self) -> tuple[Tensor, Tensor]:
        return self.dst.code_encoder(self.target)

    @tensor
    def mean(self) -> Tensor:
        return self.posterior[0]

    @tensor
    def logvar(self) -> Tensor:
        return self.posterior[1]

    @tensor
    def posterior_noise(self) -> Tensor:
        return self.noise(*self.mean.shape, like=self.mean)

    @tensor
    def code(self) -> Tensor:
        return self.mean + (self.logvar / 2).exp() * self.posterior_noise

    @tensor
    def reconstruction(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source, self.code))

    @tensor
    def random_code(self) -> Tensor:
        return self.noise(len(self.source), self.src.encoder.code_dim, like=self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source, self.random_code))

    @tensor
    def random_code_2(self) -> Tensor:
        return self.noise(len(self.source), self.src.encoder.code_dim, like=self.source)

    @tensor
    def translation_2(self) -> Tensor:
        return self.dst.decoder(self.src.encoder(self.source, self.random_code_2))

    @tensor
    def recovered_mean(self) -> Tensor:
        return frozen(self.dst.code_encoder)(self.translation)[0]

    @tensor
    def other_target(self) -> Tensor:
        return self.input("b", half=1)

    @tensor
    def real_pair(self) -> Tensor:
        return cat([self.input("a", half=1), self.other_target], dim=1)

    @tensor
    def fake_pair(self) -> Tensor:
        return cat([self.source, self.translation], dim=1)

    @tensor
    def real_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.other_target)

    @tensor
    def fake_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.translation)

    @tensor
    def real_pair_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.real_pair)

    @tensor
    def fake_pair_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.fake_pair)

    @tensor
    def target_logits(self) -> list[Tensor]:
        return self._vae_discriminator(self.target)

    @tensor
    def reconstruction_logits(self) -> list[Tensor]:
        return self._vae_discriminator(self.reconstruction)

    @tensor
    def target_pair_logits(self) -> list[Tensor]:
        return self._vae_discriminator(cat([self.source, self.target], dim=1))

    @tensor
    def reconstruction_pair_logits(self) -> list[Tensor]:
        return self._vae_discriminator(cat([self.source, self.reconstruction], dim=1))

    @property
    def _vae_discriminator(self) -> Any:  # without one of its own, cVAE-GAN shares that of cLR-GAN
        return self.dst.vae_discriminator if "vae_discriminator" in self.dst else self.dst.discriminator


class Bicyclegan(Trainer):
    """Multimodal translation of paired images: cVAE-GAN and cLR-GAN with one generator."""

    forward_pass = BicycleganForward
    routes: ClassVar = {"ab": ("a", "b")}
    roles: ClassVar = {
        "encoder": "encoders", "decoder": "decoders", "code_encoder": "encoders",
        "discriminator": "discriminators", "vae_discriminator": "discriminators",
    }  # fmt: skip
    optional_roles: ClassVar = ("code_encoder", "vae_discriminator")
    sees: ClassVar = {"code_encoder": "target"}
    latents: ClassVar = {"random_code": "mean"}


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("bicyclegan", Bicyclegan)


CHECKS = {"bicyclegan": {"skip": {"tensors": "a recipe's discriminator judges pairs or single images, not both"}}}
