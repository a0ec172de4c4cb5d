"""Residual image translator in two halves whose norms may take a code (Almahairi et al. 2018, Augmented CycleGAN).

Encoder and decoder of one code length make a generator: `decoder(encoder(x, code), code)` of an image and a code, or,
with `code_dim: 0`, the deterministic `decoder(encoder(x))`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import UsageError
from i2i_forge.nn import AffineInstanceNorm, ConditionalInstanceNorm, Pad, initialize


class ConditionalLayer(nn.Module):
    """reflection -> convolution -> conditional norm (affine instance norm without a code) -> relu."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, code_dim: int, pad: int = 0) -> None:
        super().__init__()
        self.pad, self.conv = Pad(pad), conv
        channels = conv.out_channels
        self.norm = ConditionalInstanceNorm(channels, code_dim) if code_dim else AffineInstanceNorm(channels)

    def forward(self, x: Tensor, *code: Tensor) -> Tensor:
        """N,C,H,W and at most one N,code_dim -> N,C',H',W', >= 0."""
        return F.relu(self.norm(self.conv(self.pad(x)), *code))


class ConditionalResidualBlock(nn.Module):
    """relu(x + block(x)): the first of two 3x3 convolutions has a conditional norm, or none without a code."""

    def __init__(self, channels: int, code_dim: int, dropout: float) -> None:
        super().__init__()
        self.pad, self.conv = Pad(1), nn.Conv2d(channels, channels, 3)
        self.norm = ConditionalInstanceNorm(channels, code_dim) if code_dim else None
        # A dropout moves the names of what follows, as in published checkpoints, which so tell of it.
        dropped = [nn.Dropout(dropout)] if dropout else []
        self.rest = nn.Sequential(*dropped, Pad(1), nn.Conv2d(channels, channels, 3), AffineInstanceNorm(channels))

    def forward(self, x: Tensor, *code: Tensor) -> Tensor:
        """N,C,H,W and at most one N,code_dim -> N,C,H,W, >= 0."""
        change = self.conv(self.pad(x))
        change = change if self.norm is None else self.norm(change, *code)
        return F.relu(x + self.rest(F.relu(change)))


class ConditionalResidualEncoder(nn.Module):
    """Image (and code) -> features of half the size: three convolutions, then residual blocks.

    Args:
        width: channels of the first convolution; the features have four times as many.
        blocks: residual blocks.
        channels: of the image.
        code_dim: length of the code; 0: `forward` takes none.
        dropout: of the residual blocks, 0 for none.
        init: kaiming, gaussian, xavier, orthogonal, default.
        gain: of the initialisation; the standard deviation of gaussian.
    """

    def __init__(
        self,
        width: int = 32,
        blocks: int = 3,
        channels: int = 3,
        code_dim: int = 0,
        dropout: float = 0.0,
        init: str = "gaussian",
        gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.stride, self.code_dim = 2, code_dim
        self.stem = ConditionalLayer(nn.Conv2d(channels, width, 7), code_dim, pad=3)
        self.down = nn.ModuleList(
            ConditionalLayer(nn.Conv2d(width * level, width * level * 2, 3, stride, 1), code_dim)
            for level, stride in ((1, 1), (2, 2))
        )
        self.blocks = nn.ModuleList(ConditionalResidualBlock(4 * width, code_dim, dropout) for _ in range(blocks))
        initialize(self, init, gain=gain)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """N,channels,H,W in [-1, 1] and N,code_dim (or 1,... and K,code_dim) -> N,4*width,H/2,W/2 (K,...), >= 0."""
        codes = _codes(code, self.code_dim)
        for layer in (self.stem, *self.down, *self.blocks):
            x = layer(x, *codes)
        return x


class ConditionalResidualDecoder(nn.Module):
    """Features (and code) -> image of twice the size.

    Args:
        width: channels before the last convolution; the features have four times as many.
        channels: of the image.
        code_dim: length of the code; 0: `forward` takes none.
        init: kaiming, gaussian, xavier, orthogonal, default.
        gain: of the initialisation; the standard deviation of gaussian.
    """

    def __init__(
        self, width: int = 32, channels: int = 3, code_dim: int = 0, init: str = "gaussian", gain: float = 0.02
    ) -> None:
        super().__init__()
        self.code_dim = code_dim
        doubled = nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)
        convolutions = (doubled, nn.Conv2d(2 * width, width, 3, 1, 1))
        self.up = nn.ModuleList(ConditionalLayer(conv, code_dim) for conv in convolutions)
        self.to_image = nn.Conv2d(width, channels, 7, 1, 3)
        initialize(self, init, gain=gain)

    def forward(self, features: Tensor, code: Tensor | None = None) -> Tensor:
        """N,4*width,h,w and N,code_dim (or 1,... and K,code_dim) -> N,channels,2h,2w (K,...) in [-1, 1]."""
        codes, x = _codes(code, self.code_dim), features
        for layer in self.up:
            x = layer(x, *codes)
        return self.to_image(x).tanh()


def _codes(code: Tensor | None, code_dim: int) -> tuple[Tensor, ...]:
    """The code that every layer is given, or nothing. Raises UsageError when it is missing or of another length."""
    if code is None and not code_dim:
        return ()
    if code is None or code.dim() != 2 or code.shape[1] != code_dim or not code_dim:
        wanted = f"a code N,{code_dim}" if code_dim else "no code"
        given = "there is none" if code is None else f"here is a tensor {tuple(code.shape)}"
        raise UsageError(
            f"code_dim is {code_dim}: {wanted} is expected, {given}",
            fix="give the encoder and the decoder of a generator the same code_dim, and their code that length",
        )
    return (code,)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("conditional_residual", ConditionalResidualEncoder)
    catalog.decoders.add("conditional_residual", ConditionalResidualDecoder)
