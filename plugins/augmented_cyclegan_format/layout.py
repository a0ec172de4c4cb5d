"""The checkpoint layout of the published Augmented CycleGAN code: one file of state dicts by network.

netG_A_B   encoder.a, decoder.b      netD_A   discriminator.a      netD_z_B   code_discriminator
netG_B_A   encoder.b, decoder.a      netD_B   discriminator.b      netE_B     code_encoder
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import KeyedFormat, state_dict

from .names import in_order, published_name
from .options import network_options

NETWORKS = ("netG_A_B", "netG_B_A", "netD_A", "netD_B", "netD_z_B", "netE_B")
# Conditional blocks are registered twice: netG_A_B.model.10.1.* is netG_A_B.model.10.conv_block.1.*
TWIN = re.compile(r"(netG_A_B\.model\.\d+)\.(\d+\..+)")
HEADS = ("norm.shift.weight", "norm.scale.weight", "to_mean.weight", "to_logvar.weight")  # theirs: 1x1 convolutions
_FIX = "give the file `latest`, `best_A` or `best_B` of a run"


class AugmentedCycleGanFormat(KeyedFormat):
    """Reads and writes the published layout. Of a file's optimizer states only the step is read; none are written.

    A file without netE_B is one of the baseline: import it with `--recipe augmented_cyclegan_edges2shoes_noise`.
    """

    parts: ClassVar = ("checkpoint",)
    recipe: ClassVar = "augmented_cyclegan_edges2shoes"
    title: ClassVar = "the published Augmented CycleGAN code"
    file: ClassVar = "latest"

    def part_of(self, content: Any, name: str) -> str:
        """There is one."""
        self.flatten(content, name)
        return "checkpoint"

    def trained(self, content: Any, name: str) -> tuple[int, str]:
        """The steps of the optimizer with the fewest: with pairs, some take several in each step of training."""
        steps = [
            max((int(one.get("step", 0)) for one in state.get("state", {}).values()), default=0)
            for name, state in content.items()
            if str(name).startswith("optimizer_")
        ]
        return min(steps, default=0), ""

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Widths, depths and the length of the code, from the shapes."""
        tensors = self.flatten(files["checkpoint"], "checkpoint")
        try:
            return network_options({name: tuple(value.shape) for name, value in tensors.items()})
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"this is not a checkpoint of {self.title}, its widths cannot be read ({error})", fix=_FIX
            ) from None

    def images(self, files: Mapping[str, Any]) -> dict[str, int]:
        """See Format."""
        found = self.networks(files)["encoder"]["per"]
        return {domain: options["channels"] for domain, options in found.items()}

    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """The name "netG_A_B.model.1.weight" of one of our tensors."""
        name = published_name(key, own)
        return None if name is None else ("checkpoint", name)

    def flatten(self, content: Any, part: str) -> dict[str, Tensor]:
        """The tensors of all networks, each once. Raises CheckpointError when what is registered twice differs."""
        wrong = f"{part}: this is not a checkpoint of {self.title}"
        if not isinstance(content, Mapping) or not {"netG_A_B", "netG_B_A"} <= set(content):
            raise CheckpointError(f"{wrong}, it has no netG_A_B and netG_B_A", fix=_FIX)
        tensors = {
            f"{network}.{name}": value
            for network in NETWORKS
            if network in content
            for name, value in state_dict(content[network], f"{wrong}, {network} is no state dict").items()
        }
        for name in [name for name in tensors if TWIN.fullmatch(name)]:
            once, value = TWIN.sub(r"\1.conv_block.\2", name), tensors.pop(name)
            if once not in tensors or not (value.is_meta or torch.equal(value, tensors[once])):
                raise CheckpointError(f"{part}: '{name}' is not the same as '{once}'", fix="download it again")
        return tensors

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """State dicts by network, with what is registered twice."""
        twins = {n.replace(".conv_block.", "."): v for n, v in tensors.items() if n.startswith("netG_A_B.")}
        present = {name.partition(".")[0] for name in tensors}
        content: dict[str, dict[str, Tensor]] = {network: {} for network in NETWORKS if network in present}
        for name, value in sorted((tensors | twins).items(), key=lambda item: in_order(item[0])):
            network, _, rest = name.partition(".")
            content[network][rest] = value
        return content

    def ours(self, key: str, value: Tensor) -> Tensor:
        """Their 1x1 convolutions of codes are our linear maps."""
        return value.flatten(1) if key.endswith(HEADS) else value

    def theirs(self, key: str, value: Tensor) -> Tensor:
        """Our linear maps of codes are their 1x1 convolutions."""
        return value[..., None, None] if key.endswith(HEADS) else value
