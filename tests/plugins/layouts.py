"""What the tests of published layouts share: small trainers, their files, and tensors of the published tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from loaded import CATALOG, FORMATS
from torch import Tensor

import i2i_forge
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.foreign import load_foreign

Table = list[tuple[str, list[int]]]


def tables(name: str) -> Any:
    """The names and shapes in NAME_keys.json."""
    return json.loads((Path(__file__).parent / f"{name}_keys.json").read_text())


@dataclass(frozen=True)
class Layout:
    """A layout of published checkpoints, and changes that make the networks of its recipe small."""

    name: str
    small: tuple[str, ...]

    @property
    def reader(self) -> Any:
        return FORMATS.get(self.name)()

    def make(self, *sets: str, recipe: str = "", device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
        """A trainer of the layout's recipe with nothing to minimize: a layout is about networks alone."""
        read = read_recipe(recipe or self.reader.recipe, set=sets).model_copy(update={"phases": {}})
        return i2i_forge.build_trainer(read, device, dtype, CATALOG)

    def tiny(self, *sets: str, seed: int = 0, **options: Any) -> Any:
        return self.make(*self.small, f"seed={seed}", *sets, **options)

    def fitting(self, networks: dict[str, dict[str, Any]], device: str = "cpu") -> Any:
        """A trainer of the networks that were found; where they say `use`, the recipe's own do not count."""
        sets = [f"networks.{role}=~" for role, found in networks.items() if "use" in found]
        for role, found in networks.items():
            whole = {f"networks.{role}": found}
            changes = whole if "use" in found else {f"networks.{role}.{key}": value for key, value in found.items()}
            sets += [f"{key}={json.dumps(value)}" for key, value in changes.items()]
        return self.make(*sets, "seed=9", device=device)

    def written(self, trainer: Any) -> Any:
        """A trainer's weights as the content of each part."""
        return self.reader.save(trainer.state_dict())

    def saved(self, content: dict[str, Any], folder: Path, *, zipped: bool = True) -> dict[str, Path]:
        """Files of these parts, in the format of torch before 1.6 if not `zipped`."""
        files = {part: folder / self.reader.file.format(part=part, step=1000) for part in content}
        for part, file in files.items():
            torch.save(content[part], file, _use_new_zipfile_serialization=zipped)
        return files

    def load(self, trainer: Any, content: dict[str, Any], folder: Path, *, zipped: bool = True) -> None:
        """A trainer takes the content of these parts, from files."""
        load_foreign(trainer, self.saved(content, folder, zipped=zipped), self.name, FORMATS)


def assert_same(one: Any, other: Any) -> None:
    """Two trainers, or two contents of a part, hold the same to the bit, under the same names in the same order."""
    ours, theirs = (x.state_dict() if hasattr(x, "state_dict") else x for x in (one, other))
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        if isinstance(value, Tensor):
            assert value.dtype == theirs[name].dtype and torch.equal(value, theirs[name]), name
        else:
            assert_same(value, theirs[name])


def meta(table: Table) -> dict[str, Tensor]:
    """Tensors of these shapes without data."""
    return {name: torch.empty(shape, device="meta") for name, shape in table}


def drawn(table: Table, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors of these shapes, counts of batches by their place."""
    draws = torch.Generator().manual_seed(seed)
    return {
        name: torch.tensor(place) if name.endswith("num_batches_tracked") else torch.randn(shape, generator=draws)
        for place, (name, shape) in enumerate(table)
    }


def narrow(table: Table) -> Table:
    """A sixteenth of every width; the eight numbers of a code beside one stay."""
    return [(name, [size // 16 + size % 16 if size >= 32 else size for size in shape]) for name, shape in table]


def state_of(found: dict[str, dict[str, Any]], device: str = "cpu") -> dict[str, Tensor]:
    """The state of networks with these options, without a trainer."""
    kinds = {"decoder": CATALOG.decoders, "discriminator": CATALOG.discriminators}
    own = {}
    for role, options in found.items():
        kind = kinds.get(role.removeprefix("vae_"), CATALOG.encoders)
        with torch.device(device):
            network = kind.get(options.get("use", "unet"))(**{k: v for k, v in options.items() if k != "use"})
        own |= {f"{role}.{name}": value for name, value in network.state_dict().items()}
    return own
