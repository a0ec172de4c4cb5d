"""The pretrained weights that losses and metrics need, and where they are.

Their publishers state no SHA-256 but for its first eight digits, which torchvision and torch-fidelity put into the
file's name. 32 bits tell a damaged file from a whole one, and these weights from others; they do not withstand somebody
who exchanges the file on purpose. The whole SHA-256 is recorded when a file is fetched.

All were trained on ImageNet, whose own terms may bind those who use them.

The Caffe VGG16 (`vgg16_caffe.pth`), which the loss domain_invariant_perceptual reads, is not here: we know of no
address that has it as a state dict. It was published as a Torch 7 file, which its users convert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from i2i_forge.errors import UsageError, suggest

TORCHVISION = "https://download.pytorch.org/models"
TORCH_FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"


@dataclass(frozen=True)
class Weights:
    """A file of pretrained weights.

    Attributes:
        name: what commands call it.
        url: where its publisher has it.
        about: which network it is.
        needed_by: the losses, metrics and commands that read it.
        licence: SPDX.
        megabytes: its size, in 10^6 bytes, rounded.
        sha256: as far as it is known: the first digits, or all 64.
    """

    name: str
    url: str
    about: str
    needed_by: str
    licence: str
    megabytes: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the cache, which is that at its publisher's."""
        return self.url.rpartition("/")[2]

    @property
    def largest(self) -> int:
        """Bytes that it may have: what comes is given up there."""
        return (self.megabytes + 1) * 1_100_000


MANIFEST: Mapping[str, Weights] = {
    entry.name: entry
    for entry in (
        Weights(
            "alexnet", f"{TORCHVISION}/alexnet-owt-7be5be79.pth", "torchvision's AlexNet",
            "loss lpips (net=alex), metric lpips_diversity", "BSD-3-Clause", 244, "7be5be79",
        ),
        Weights(
            "vgg16", f"{TORCHVISION}/vgg16-397923af.pth", "torchvision's VGG16",
            "losses lpips (net=vgg), domain_invariant_perceptual_torchvision", "BSD-3-Clause", 553, "397923af",
        ),
        Weights(
            "squeezenet1_1", f"{TORCHVISION}/squeezenet1_1-b8a52dc0.pth", "torchvision's SqueezeNet 1.1",
            "loss lpips (net=squeeze)", "BSD-3-Clause", 5, "b8a52dc0",
        ),
        Weights(
            "inception_v3", f"{TORCHVISION}/inception_v3_google-0cc3c7bd.pth", "torchvision's Inception-v3",
            "forge classifier train --network inception_v3", "BSD-3-Clause", 109, "0cc3c7bd",
        ),
        Weights(
            "inception_tf", f"{TORCH_FIDELITY}/weights-inception-2015-12-05-6726825d.pth",
            "TensorFlow's Inception-v3 of 2015-12-05, as torch-fidelity converted it",
            "metrics fid, kid, prdc, inception_score", "Apache-2.0", 96, "6726825d",
        ),
    )
}  # fmt: skip


def find(name: str) -> Weights:
    """The entry of a name. Raises UsageError that suggests the nearest."""
    if name not in MANIFEST:
        raise UsageError(f"the manifest has no weights '{name}'", fix=suggest(name, MANIFEST))
    return MANIFEST[name]
