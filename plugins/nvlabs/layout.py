"""The layout that both programs share: `gen_*.pt` and `dis_*.pt`, each with the state dicts of two domains."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from i2i_forge.errors import CheckpointError
from i2i_forge.run.foreign import KeyedFormat, state_dict

from .names import Shapes, discriminator_name, discriminator_networks, in_order

DOMAINS = ("a", "b")
STEP = re.compile(r"_([0-9]{8})\.pt$")  # where the published code looks for it, too
_FIX = "give the gen_*.pt and dis_*.pt files"


class TwoDomains(KeyedFormat):
    """`{"a": state dict, "b": state dict}` in both files; a tensor's flat name is "a.dec.model.5.conv.weight".

    Attributes:
        encoder: what the generator's first network is called in a file.
    """

    parts: ClassVar = ("gen", "dis")
    # Plain instance norms of old files carry statistics that nothing uses; AdaIN layers carry constant ones.
    unused: ClassVar = re.compile(r"\.norm\.(running_mean|running_var|num_batches_tracked)$")
    encoder: ClassVar[str]

    @abstractmethod
    def generator_name(self, role: str, name: str, own: Iterable[str]) -> str | None:
        """The published name of one of a generator's tensors; `own` are the names of that network."""

    @abstractmethod
    def generator_options(self, shapes: Shapes) -> dict[str, dict[str, Any]]:
        """The networks of a generator's file. Raises KeyError, ValueError."""

    def trained(self, content: Any, name: str) -> tuple[int, str]:
        """The steps in `gen_00010000.pt`."""
        found = STEP.search(name)
        return (int(found[1]) if found else 0), ""

    def part_of(self, content: Any, name: str) -> str:
        """gen or dis, by the names of the tensors."""
        if isinstance(content, Mapping) and set(self.parts) <= set(content):
            raise CheckpointError(f"{name} holds the optimizers' state, which is not imported", fix=_FIX)
        modules = {key.split(".")[1] for key in self.flatten(content, name)}
        if "cnns" in modules:
            return "dis"
        if self.encoder in modules:
            return "gen"
        held = ", ".join(sorted(modules)[:5])
        raise CheckpointError(f"this is not a checkpoint of {self.title}, it holds {held}", fix=_FIX)

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Widths and depths, from the shapes."""
        found: dict[str, dict[str, Any]] = {}
        for part, content in files.items():
            tensors = self.flatten(content, part)
            shapes = {name[2:]: tuple(value.shape) for name, value in tensors.items() if name.startswith("a.")}
            options = discriminator_networks if part == "dis" else self.generator_options
            try:
                found |= options(shapes)
            except (KeyError, ValueError) as error:
                raise CheckpointError(
                    f"this is not a checkpoint of {self.title}, its widths cannot be read ({error})", fix=_FIX
                ) from None
        return found

    def images(self, files: Mapping[str, Any]) -> dict[str, int]:
        """See Format."""
        if "gen" not in files:
            return {}
        tensors = self.flatten(files["gen"], "gen")
        return {domain: tensors[f"{domain}.{self.encoder}.model.0.conv.weight"].shape[1] for domain in DOMAINS}

    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """discriminator is in dis, all else in gen; the published code shares no network between domains."""
        role, domain, name = [*key.split(".", 2), "", ""][:3]
        if domain not in DOMAINS:
            return None
        prefix = f"{role}.{domain}."
        network = {each.removeprefix(prefix) for each in own if each.startswith(prefix)}
        if role == "discriminator":
            part, published = "dis", discriminator_name(name, network)
        else:
            part, published = "gen", self.generator_name(role, name, network)
        return (part, f"{domain}.{published}") if published else None

    def flatten(self, content: Any, part: str) -> dict[str, Tensor]:
        """The tensors of both domains."""
        tensors: dict[str, Tensor] = {}
        for domain in DOMAINS:
            inner = content.get(domain) if isinstance(content, Mapping) else None
            otherwise = f"{part}: this is not a checkpoint of {self.title}, it has no state dict under '{domain}'"
            try:
                found = state_dict(inner, otherwise)
            except CheckpointError as error:
                raise CheckpointError(error.message, fix=_FIX) from None
            tensors |= {f"{domain}.{name}": value for name, value in found.items()}
        return tensors

    def save(self, own: Mapping[str, Tensor]) -> dict[str, Any]:
        """Our tensors as the content of gen and dis."""
        for key in own:
            role, domain = key.split(".")[:2]
            if role != "state" and domain not in DOMAINS:
                raise CheckpointError(
                    f"'{key}' has no place in a checkpoint of {self.title}, which holds one {role} for each domain",
                    fix=f"train with networks.{role}.per: [a, b]",
                )
        return super().save(own)

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """A part's content, names in the published order."""
        return {
            domain: in_order({name[2:]: value for name, value in tensors.items() if name.startswith(f"{domain}.")})
            for domain in DOMAINS
        }
