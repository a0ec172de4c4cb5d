"""What the published Augmented CycleGAN code calls our tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_BLOCK = 10
# fmt: off
RANKS = (  # the order of names within a layer
    "model", "conv_modules", "enc_mu", "enc_logvar", "conv_block", "module1", "module2", "shift_conv", "scale_conv",
    "weight", "bias", "scale", "shift", "running_mean", "running_var", "num_batches_tracked",
)
# fmt: on


def published_name(key: str, own: Mapping[str, Any]) -> str | None:
    """The name of one of our tensors, "netG_A_B.model.1.weight"; None when the layout has no place for it.

    Args:
        key: our name.
        own: all of ours, which tell how many blocks there are and which generator is conditional.
    """
    match key.split("."):
        case "discriminator", ("a" | "b") as domain, "layers", *rest:
            return ".".join([f"netD_{domain.upper()}.model", *rest])
        case "code_discriminator", "layers", *rest:
            return ".".join(["netD_z_B.model", *rest])
        case "code_encoder", "layers", *rest:
            return ".".join(["netE_B.conv_modules", *rest])
        case "code_encoder", ("to_mean" | "to_logvar") as head, kind:
            return f"netE_B.enc_{'mu' if head == 'to_mean' else 'logvar'}.{kind}"
        case ("encoder" | "decoder") as role, ("a" | "b") as domain, *rest:
            to_b = (role == "encoder") == (domain == "a")
            encoder = f"encoder.{'a' if to_b else 'b'}"
            blocks = len({k.split(".")[3] for k in own if k.startswith(f"{encoder}.blocks.")})
            layer = _layer(rest, blocks, conditional=f"{encoder}.stem.norm.shift.weight" in own)
            return layer and f"netG_{'A_B' if to_b else 'B_A'}.model.{layer}"
    return None


def _layer(rest: list[str], blocks: int, *, conditional: bool) -> str | None:
    """The place of a generator's tensor."""
    match rest:
        case "stem", *inner:
            return _normed(1, inner)
        case "down", index, *inner:
            return _normed(4 + 3 * int(index), inner)
        case "blocks", index, "rest", place, *inner:  # after padding, convolution and relu
            return ".".join([f"{FIRST_BLOCK + int(index)}.conv_block.{int(place) + 3}", *inner])
        case "blocks", index, ("conv" | "norm") as layer, *inner:
            merged = [("module1" if layer == "conv" else "module2")] if conditional else []
            return ".".join([f"{FIRST_BLOCK + int(index)}.conv_block.1", *merged, *_renamed(inner)])
        case "up", index, *inner:
            return _normed(FIRST_BLOCK + blocks + 3 * int(index), inner)
        case "to_image", kind:
            return f"{FIRST_BLOCK + blocks + 6}.{kind}"
    return None


def _normed(index: int, inner: list[str]) -> str:
    """A convolution is at an index, its norm at the next."""
    layer, *rest = inner
    return ".".join([str(index + (layer == "norm")), *_renamed(rest)])


def _renamed(rest: list[str]) -> list[str]:
    """A conditional norm's shift.weight is shift_conv.0.weight."""
    return [f"{rest[0]}_conv", "0", rest[1]] if len(rest) == 2 else rest


def in_order(name: str) -> tuple[Any, ...]:
    """Sorts a file's names as the published code writes them: what is registered twice, under its long name first."""
    network, *rest = name.split(".")
    return network, *((1, int(part)) if part.isdigit() else (0, RANKS.index(part)) for part in rest)
