"""LPIPS (Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric): its network.

The trunk is torchvision's; the linear weights are those that the `lpips` package ships. The package itself is not
imported: it would bring scipy, and it fetches the trunk from the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.errors import DataError
from i2i_forge.measure import BackboneInfo, Tools
from i2i_forge.run.foreign import read_foreign
from i2i_forge.system import autocast, full, generator, weights
from i2i_forge_plugins.backbones.rgb import need_rgb

EPS = 1e-10  # of the package; others differ


@dataclass(frozen=True)
class Trunk:
    """A network of torchvision.

    Attributes:
        model: torchvision's name of it, and the manifest's name of its weights.
        taps: the layers of its `features` that are compared.
        least: pixels of a side that they need.
        linear_sha256: version -> SHA-256 of the package's file of linear weights.
    """

    model: str
    taps: tuple[int, ...]
    least: int
    linear_sha256: Mapping[str, str]


TRUNKS = {
    "alex": Trunk("alexnet", (1, 4, 7, 9, 11), 31, {
        "0.0": "18720f55913d0af89042f13faa7e536a6ce1444a0914e6db9461355ece1e8cd5",
        "0.1": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    }),
    "vgg": Trunk("vgg16", (3, 8, 15, 22, 29), 16, {
        "0.0": "b9e4236260c3dd988fc79d2a48d645d885afcbb21f9fd595e6744cf7419b582c",
        "0.1": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    }),
    "squeeze": Trunk("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), 17, {
        "0.0": "c27abd3a0145541baa50990817df58d3759c3f8154949f42af3b59b4e042d0bf",
        "0.1": "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    }),
}  # fmt: skip


class LpipsNetwork(nn.Module):
    """Images as points whose squared distance is LPIPS, frozen; a Backbone.

    d(x, y) = sum_l mean_hw sum_c w_lc (f_lchw - g_lchw)^2 (eq. 1), f and g the images' activations, at each place
    divided by their length over the channels (+ 1e-10). No w is negative, so d(x, y) = |a(x) - a(y)|^2 with
    a = concat_l sqrt(w_l / (H_l W_l)) f_l.

    Args:
        net: alex, vgg, squeeze.
        version: 0.1, or 0.0: other linear weights, and images that are not brought to ImageNet's mean and deviation.
        trunk: state dict of torchvision's network; what is not in its `features` is ignored.
        is_calibrated: False for a trunk that was not trained.

    Raises:
        DataError: the installed package's linear weights are not the published ones.
    """

    def __init__(self, net: str, version: str, trunk: Mapping[str, Tensor], *, is_calibrated: bool = True) -> None:
        super().__init__()
        self.taps, self.least = TRUNKS[net].taps, TRUNKS[net].least
        self.trunk = _empty_trunk(net)
        needed = {name: trunk.get(f"features.{name}", torch.empty(0)).clone() for name in self.trunk.state_dict()}
        self.trunk.load_state_dict(needed, assign=True)
        for tap, weight in enumerate(_linear_weights(net, version)):
            kept = weight.nonzero().flatten()  # up to two thirds of the channels count for nothing
            self.register_buffer(f"kept_{tap}", kept)
            self.register_buffer(f"linear_{tap}", weight[kept])
        scaled = version == "0.1"
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188] if scaled else [0.0] * 3)[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450] if scaled else [1.0] * 3)[:, None, None])
        self.requires_grad_(False)
        values = hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in self.state_dict().values()))
        name = f"lpips-{net}-v{version}"
        self.info = BackboneInfo(
            id=name if is_calibrated else f"{name}-random",
            version=version,
            weights_sha256=values.hexdigest(),  # of trunk and linear weights, which come from two files
            is_calibrated=is_calibrated,
        )

    def embed(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1] -> N,D, whose squared distances are those of the images.

        Raises:
            DataError: they are too small, or no RGB.
        """
        need_rgb(x, self.info.id)
        height, width = x.shape[2:]
        if min(height, width) < self.least:
            raise DataError(
                f"images of {height}x{width} are too small for {self.info.id}",
                fix=f"it takes images of {self.least}x{self.least} and larger",
            )
        parts: list[Tensor] = []
        x = (full(x) - self.get_buffer("shift")) / self.get_buffer("scale")
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # a quarter faster
        with autocast(x.device, "fp32"):
            for index, layer in enumerate(self.trunk):
                x = layer(x)
                if index in self.taps:
                    parts.append(self._compared(x, len(parts)).flatten(1))
        return torch.cat(parts, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """`embed`."""
        return self.embed(x)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> N distances."""
        return (self.embed(x) - self.embed(y)).square().sum(1)

    def _compared(self, f: Tensor, tap: int) -> Tensor:
        """sqrt(w / (H W)) f / (|f| + 1e-10) in the channels where w is not 0."""
        # a norm, not the root of a sum: its gradient exists where all channels are 0
        length = torch.linalg.vector_norm(f, dim=1, keepdim=True) + EPS
        root = (self.get_buffer(f"linear_{tap}") / (f.shape[2] * f.shape[3])).sqrt()
        compared: Tensor = f[:, self.get_buffer(f"kept_{tap}")] * root[:, None, None] / length
        return compared


def read_lpips(net: str = "alex", version: str = "0.1", trunk: str | None = None) -> LpipsNetwork:
    """The network with torchvision's trunk.

    Args:
        net, version: see LpipsNetwork.
        trunk: a file of the trunk's weights, or its name in the cache; none: the one that `forge weights get` fetches.

    Raises:
        ValueError: there is no such net or version.
        DataError: the file is not there or is another network.
    """
    if net not in TRUNKS or version not in TRUNKS[net].linear_sha256:
        raise ValueError(f"net '{net}' and version '{version}': it must be one of {', '.join(TRUNKS)}; 0.1 or 0.0")
    model = TRUNKS[net].model
    file = weights.weights_file(trunk) if trunk else weights.required(model, by="lpips")
    if not file.is_file():
        raise DataError(
            f"lpips: {file} does not exist",
            fix=f"put torchvision's state dict there, or leave `trunk` out and run: forge weights get {model}",
        )
    content: Any = read_foreign(file)
    try:
        return LpipsNetwork(net, version, content)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is not torchvision's {model} ({str(error).splitlines()[-1].strip()[:120]})",
            fix=f"give a file of {model}, or the net that the file is of: {', '.join(TRUNKS)}",
        ) from None


def random_lpips(net: str = "alex", version: str = "0.1") -> LpipsNetwork:
    """The network with a seeded random trunk (He et al. 2015: activations keep their size), not calibrated."""
    draws, made = generator("lpips", net), {}
    for name, value in _empty_trunk(net).state_dict().items():
        made[f"features.{name}"] = torch.zeros(value.shape)
        if name.endswith("weight"):
            made[f"features.{name}"].normal_(0, (2 / value[0].numel()) ** 0.5, generator=draws)
    return LpipsNetwork(net, version, made, is_calibrated=False)


def lpips_backbone(tools: Tools, net: str = "alex", version: str = "0.1") -> LpipsNetwork:
    """The network for a metric: built once, random where the user asks for that. Raises DataError without weights."""
    make = random_lpips if tools.backbone == "random" else read_lpips
    return tools.built(f"lpips {net} {version} {tools.backbone}", lambda: make(net, version).to(tools.device))


def _empty_trunk(net: str) -> nn.Sequential:
    """The layers up to the last tap, without values."""
    from torchvision import models  # slow to import

    with torch.device("meta"):
        features = getattr(models, TRUNKS[net].model)(weights=None).features
    trunk: nn.Sequential = features[: TRUNKS[net].taps[-1] + 1]
    return trunk.eval()


def _linear_weights(net: str, version: str) -> list[Tensor]:
    """The weights of each tap's channels."""
    file = Path(str(metadata.distribution("lpips").locate_file(f"lpips/weights/v{version}/{net}.pth")))
    if hashlib.sha256(file.read_bytes()).hexdigest() != TRUNKS[net].linear_sha256[version]:
        raise DataError(
            f"{file} does not hold the published linear weights of LPIPS: its SHA-256 is another",
            fix="pip install --force-reinstall --no-deps 'lpips>=0.1.4,<0.2'",
        )
    linear = read_foreign(file)
    return [linear[f"lin{tap}.model.1.weight"].flatten() for tap in range(len(TRUNKS[net].taps))]
