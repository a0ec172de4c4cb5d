"""UNIT: Unsupervised Image-to-Image Translation Networks (Liu, Breuel, Kautz; NeurIPS 2017, arXiv 1703.00848).

Two variational auto-encoders share a latent space: q(z|x) = N(E(x), I), so a code is the encoder's output plus noise.
What one domain's encoder makes of an image, the other domain's decoder turns into its translation.

    the paper                       here
    E_mu,1(x1)                      content
    eta ~ N(0, I)                   noise, zero in inference
    z1 = E_mu,1(x1) + eta           latent
    G1(z1)                          reconstruction     eq. 3  image = |reconstruction - source|, a Laplacian
    KL(q1(z1|x1) || N(0, I))                           eq. 3  kl = kl_unit_variance(content)
    G2(z1)                          translation        with the noise of the reconstruction
    D2(x2), D2(G2(z1))              real_logits, fake_logits   eq. 4  gan
    E_mu,2(G2(z1))                  recovered_content  eq. 5  kl_cycle = kl_unit_variance(recovered_content)
    eta' ~ N(0, I), another draw    recovered_noise
    G1(E_mu,2(G2(z1)) + eta')       cycled             eq. 5  cycle = |cycled - source|

The paper's weight sharing (section 3) is a recipe's choice: a role without `per` is one network for both domains.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from i2i_forge import Catalog, ForwardPass, Trainer, hookimpl, tensor


class UnitForward(ForwardPass):
    """One direction of UNIT; the trainer runs it both ways."""

    source: Tensor  # images of the domain we leave
    target: Tensor  # unrelated images of the domain we enter

    @tensor
    def content(self) -> Tensor:
        """The mean of the posterior; its variance is one."""
        return self.src.encoder(self.source)

    @tensor
    def noise(self) -> Tensor:  # type: ignore[override]
        return self._drawn(self.content)

    @tensor
    def latent(self) -> Tensor:
        """A draw from the posterior; in inference its mean."""
        return self.content + self.noise

    @tensor
    def reconstruction(self) -> Tensor:
        return self.src.decoder(self.latent)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.latent)

    @tensor
    def recovered_content(self) -> Tensor:
        return self.dst.encoder(self.translation)

    @tensor
    def recovered_noise(self) -> Tensor:
        return self._drawn(self.recovered_content)

    @tensor
    def cycled(self) -> Tensor:
        return self.src.decoder(self.recovered_content + self.recovered_noise)

    @tensor
    def real_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.target)

    @tensor
    def fake_logits(self) -> list[Tensor]:
        return self.dst.discriminator(self.translation)

    def _drawn(self, mean: Tensor) -> Tensor:
        if not self.training:
            return mean.new_zeros(mean.shape)
        return super().noise(len(mean), *mean.shape[1:], like=mean)  # the method; here `noise` is a tensor


class Unit(Trainer):
    """Unpaired translation through a latent space that the domains share: two variational auto-encoders."""

    forward_pass = UnitForward
    routes: ClassVar = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles: ClassVar = {"encoder": "encoders", "decoder": "decoders", "discriminator": "discriminators"}


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.trainers.add("unit", Unit)
