"""One training step of each method as its published program takes it, in plain PyTorch on our networks: what is called
how often, which graphs are kept, which gradients nobody uses. Written from the programs' described behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Networks = Mapping[str, Mapping[str, Any]]  # role -> domain, or "shared" -> network
Batch = Mapping[str, Tensor]


def squares(logits: Tensor | list[Tensor], target: float) -> Any:
    """Least squares against a constant, summed over scales."""
    scales = logits if isinstance(logits, list) else [logits]
    return sum((scale - target).square().mean() for scale in scales)


class Adams:
    """One optimizer of the networks of some roles, the same at every step.

    Args:
        networks: by role and domain.
    """

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.made: dict[tuple[str, ...], torch.optim.Adam] = {}

    def __call__(self, *roles: str) -> torch.optim.Adam:
        """That of the networks of these roles."""
        if roles not in self.made:
            parameters = [p for role in roles for net in self.networks[role].values() for p in net.parameters()]
            self.made[roles] = torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))
        return self.made[roles]


def learn(networks: Networks, roles: tuple[str, ...], flag: bool) -> None:
    """Whether the networks of these roles ask for gradients."""
    for role in roles:
        for network in networks[role].values():
            network.requires_grad_(flag)


def update(loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    """Zero, backward, step."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


def munit(nets: Networks, adam: Adams, batch: Batch) -> None:
    """D first; the translations it judges are made with a graph. D collects gradients in G's turn."""
    a, b = batch["a"], batch["b"]
    gens, dis = adam("content_encoder", "style_encoder", "decoder"), adam("discriminator")

    def encode(x: Tensor, domain: str) -> tuple[Tensor, Tensor]:
        style = nets["style_encoder"][domain](x)
        return nets["content_encoder"][domain](x), style

    def draw() -> tuple[Tensor, Tensor]:
        dim = nets["style_encoder"]["a"].dim
        return torch.randn(len(a), dim, device=a.device), torch.randn(len(b), dim, device=b.device)

    d_a, d_b, g_a, g_b = (nets[role][domain] for role in ("discriminator", "decoder") for domain in ("a", "b"))

    def discriminators() -> None:
        (s_a, s_b), (c_a, _), (c_b, _) = draw(), encode(a, "a"), encode(b, "b")
        x_ba, x_ab = g_a(c_b, s_a), g_b(c_a, s_b)
        loss = squares(d_a(x_ba.detach()), 0) + squares(d_a(a), 1)
        update(loss + squares(d_b(x_ab.detach()), 0) + squares(d_b(b), 1), dis)

    def generators() -> None:
        (s_a, s_b), (c_a, own_a), (c_b, own_b) = draw(), encode(a, "a"), encode(b, "b")
        images = F.l1_loss(g_a(c_a, own_a), a) + F.l1_loss(g_b(c_b, own_b), b)
        x_ba, x_ab = g_a(c_b, s_a), g_b(c_a, s_b)
        (c_b2, s_a2), (c_a2, s_b2) = encode(x_ba, "a"), encode(x_ab, "b")
        codes = F.l1_loss(s_a2, s_a) + F.l1_loss(s_b2, s_b) + F.l1_loss(c_a2, c_a) + F.l1_loss(c_b2, c_b)
        update(squares(d_a(x_ba), 1) + squares(d_b(x_ab), 1) + 10 * images + codes, gens)

    discriminators()
    generators()


def unit(nets: Networks, adam: Adams, batch: Batch) -> None:
    """As MUNIT; a code is the encoder's output plus noise."""
    a, b = batch["a"], batch["b"]
    gens, dis = adam("encoder", "decoder"), adam("discriminator")
    e_a, e_b, g_a, g_b, d_a, d_b = (nets[r][d] for r in ("encoder", "decoder", "discriminator") for d in ("a", "b"))

    def discriminators() -> None:
        h_a, h_b = e_a(a), e_b(b)
        n_a, n_b = torch.randn_like(h_a), torch.randn_like(h_b)
        x_ba, x_ab = g_a(h_b + n_b), g_b(h_a + n_a)
        loss = squares(d_a(x_ba.detach()), 0) + squares(d_a(a), 1)
        update(loss + squares(d_b(x_ab.detach()), 0) + squares(d_b(b), 1), dis)

    def generators() -> None:
        h_a, h_b = e_a(a), e_b(b)
        n_a, n_b = torch.randn_like(h_a), torch.randn_like(h_b)
        images = F.l1_loss(g_a(h_a + n_a), a) + F.l1_loss(g_b(h_b + n_b), b)
        x_ba, x_ab = g_a(h_b + n_b), g_b(h_a + n_a)
        h_b2, h_a2 = e_a(x_ba), e_b(x_ab)
        x_aba, x_bab = g_a(h_a2 + torch.randn_like(h_a2)), g_b(h_b2 + torch.randn_like(h_b2))
        cycles = F.l1_loss(x_aba, a) + F.l1_loss(x_bab, b)
        kl = sum(h.square().mean() for h in (h_a, h_b, h_a2, h_b2))
        update(squares(d_a(x_ba), 1) + squares(d_b(x_ab), 1) + 10 * (images + cycles) + 0.01 * kl, gens)

    discriminators()
    generators()


def bicyclegan(nets: Networks, adam: Adams, batch: Batch) -> None:
    """G and E first, with two backward passes through one graph; then D and D2 on the same images."""
    (a, _), (b, b2) = batch["a"].chunk(2), batch["b"].chunk(2)
    enc, dec, e, d, d_vae = (
        next(iter(nets[role].values()))
        for role in ("encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator")
    )
    gens, codes, dis, dis_vae = (
        adam(*roles)
        for roles in (("encoder", "decoder"), ("code_encoder",), ("discriminator",), ("vae_discriminator",))
    )
    mean, logvar = e(b)
    code = mean + (logvar / 2).exp() * torch.randn_like(mean)
    random_code = torch.randn_like(mean)
    encoded, random = dec(enc(a, code)), dec(enc(a, random_code))
    mean2, _ = e(random)
    learn(nets, ("discriminator", "vae_discriminator"), False)
    kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
    loss = squares(d_vae(encoded), 1) + squares(d(random), 1) + 10 * F.l1_loss(encoded, b) + 0.01 * kl
    loss.backward(retain_graph=True)
    learn(nets, ("code_encoder",), False)
    (0.5 * F.l1_loss(mean2, random_code)).backward()
    codes.step()
    gens.step()
    learn(nets, ("code_encoder", "discriminator", "vae_discriminator"), True)
    update(squares(d_vae(encoded.detach()), 0) + squares(d_vae(b), 1), dis_vae)
    update(squares(d(random.detach()), 0) + squares(d(b2), 1), dis)


def pix2pix(nets: Networks, adam: Adams, batch: Batch) -> None:
    """One translation for both; D first, frozen in G's turn."""
    enc, dec, d = (next(iter(nets[role].values())) for role in ("encoder", "decoder", "discriminator"))
    gens, dis = adam("encoder", "decoder"), adam("discriminator")
    a, b = batch["a"], batch["b"]
    fake = dec(enc(a))

    def gan(images: Tensor, real: bool) -> Tensor:
        logits = d(torch.cat([a, images], 1))
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    update(0.5 * (gan(fake.detach(), False) + gan(b, True)), dis)
    learn(nets, ("discriminator",), False)
    update(gan(fake, True) + 100 * F.l1_loss(fake, b), gens)
    learn(nets, ("discriminator",), True)


def cyclegan(nets: Networks, adam: Adams, batch: Batch) -> None:
    """Both generators first, with D frozen; then both D. The pool's first images are the new ones."""
    a, b = batch["a"], batch["b"]
    e_a, e_b, g_a, g_b, d_a, d_b = (nets[r][d] for r in ("encoder", "decoder", "discriminator") for d in ("a", "b"))
    gens, dis = adam("encoder", "decoder"), adam("discriminator")
    fake_b = g_b(e_a(a))
    cycled_a = g_a(e_b(fake_b))
    fake_a = g_a(e_b(b))
    cycled_b = g_b(e_a(fake_a))
    learn(nets, ("discriminator",), False)
    loss = 5 * F.l1_loss(g_b(e_a(b)), b) + 5 * F.l1_loss(g_a(e_b(a)), a)
    loss = loss + squares(d_b(fake_b), 1) + squares(d_a(fake_a), 1)
    update(loss + 10 * F.l1_loss(cycled_a, a) + 10 * F.l1_loss(cycled_b, b), gens)
    learn(nets, ("discriminator",), True)
    dis.zero_grad()
    for d, real, fake in ((d_b, b, fake_b), (d_a, a, fake_a)):
        (0.5 * (squares(d(real), 1) + squares(d(fake.detach().clone()), 0))).backward()
    dis.step()


def augmented_cyclegan(nets: Networks, adam: Adams, batch: Batch) -> None:
    """D first, on translations whose graph G then uses; D is not frozen in G's turn. Norms are clipped at 500."""
    a, b = batch["a"], batch["b"]
    e_a, e_b, g_a, g_b, d_a, d_b = (nets[r][d] for r in ("encoder", "decoder", "discriminator") for d in ("a", "b"))
    e, d_z = (next(iter(nets[role].values())) for role in ("code_encoder", "code_discriminator"))
    gens, dis = adam("encoder", "decoder", "code_encoder"), adam("discriminator", "code_discriminator")
    z = torch.randn(len(a), e_a.code_dim, device=a.device)

    def to_b(x: Tensor, code: Tensor) -> Tensor:
        return g_b(e_a(x, code), code)

    def clipped(loss: Tensor, optimizer: torch.optim.Optimizer, networks: list[nn.Module]) -> None:
        optimizer.zero_grad()
        loss.backward()
        for network in networks:
            nn.utils.clip_grad_norm_(network.parameters(), 500)
        optimizer.step()

    fake_b, fake_a = to_b(a, z), g_a(e_b(b))
    mean, _ = e(b, fake_a)
    loss = squares(d_a(fake_a.detach()), 0) + squares(d_a(a), 1) + squares(d_b(fake_b.detach()), 0) + squares(d_b(b), 1)
    clipped(0.5 * (loss + squares(d_z(mean.detach()), 0) + squares(d_z(z), 1)), dis, [d_a, d_b, d_z])
    loss = squares(d_a(fake_a), 1) + squares(d_b(fake_b), 1) + squares(d_z(mean), 1)
    loss = loss + F.l1_loss(g_a(e_b(fake_b)), a) + F.l1_loss(to_b(fake_a, mean), b)
    clipped(loss + 0.025 * F.l1_loss(e(fake_b, a)[0], z), gens, [e_a, e_b, g_a, g_b, e])
