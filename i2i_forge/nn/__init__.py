"""Layers for plugin authors: blocks, normalisation, padding, initialisation, augmentation, grey, image pool."""

from i2i_forge.nn.augment import Augmentation
from i2i_forge.nn.blocks import ConvBlock, LinearBlock, ResidualBlock
from i2i_forge.nn.colour import as_channels, grey
from i2i_forge.nn.doubled import DoubledConvBlock
from i2i_forge.nn.image_pool import ImagePool
from i2i_forge.nn.init import initialize
from i2i_forge.nn.norms import AffineInstanceNorm, ConditionalInstanceNorm, InstanceNorm, LayerNorm, adain, norm_layer
from i2i_forge.nn.padding import Pad

__all__ = [
    "AffineInstanceNorm", "Augmentation", "ConditionalInstanceNorm", "ConvBlock", "DoubledConvBlock", "ImagePool",
    "InstanceNorm", "LayerNorm", "LinearBlock", "Pad", "ResidualBlock", "adain", "as_channels", "grey", "initialize",
    "norm_layer",
]  # fmt: skip
