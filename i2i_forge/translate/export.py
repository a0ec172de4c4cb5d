"""A run's translator as one file that needs PyTorch alone: no recipe, no plugins, no i2i_forge.

    program = torch.export.load("munit.pt2").module()
    y = program(x, style)        # x: N,C,H,W in [-1, 1], style: N,dim (or with places) -> N,C,H,W in [-1, 1]
    y = program(x)               # of a deterministic method

Where dropout goes on in inference, the program draws it from torch's own generator: `torch.manual_seed` repeats it.
The sides of x are multiples of `stride` and at least `smallest`, which the file's extra text "i2i_forge.json" says;
of measured images its `spaces` say what the values are:

    about = {"i2i_forge.json": ""}
    torch.export.load("munit.pt2", extra_files=about)
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import ForgeError, UsageError, disk_error
from i2i_forge.system.files import made_whole
from i2i_forge.system.seeding import generator
from i2i_forge.translate.sides import Sides, used_for
from i2i_forge.translate.translator import Translator

ABOUT = "i2i_forge.json"
Axes = dict[int, tuple[int, int]]  # axis of an input -> 0 for the height, 1 for the width; pixels for each stride
TOLERANCE = 1e-3  # of values in [-1, 1]; kernels may be others than in the run's own translator
OF_MEASURED = 1e-4  # the same where they are measured: 0.2 HU of 4,096


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        recipe, step, route: what it translates with.
        inputs: "source", and the name of the code where there is one.
        code_dim: length of the code, 0 for none.
        code: its shape, "N,8" or "N,C,H,W", "" for none.
        stride, smallest: sides are multiples of the one and not less than the other.
        difference: the largest one from the run's own translations, in values from -1 to 1.
        checked: the shapes that were compared.
    """

    recipe: str
    step: int
    route: str
    inputs: tuple[str, ...]
    code_dim: int
    code: str
    stride: int
    smallest: int
    difference: float
    checked: tuple[tuple[int, ...], ...]


class Program(nn.Module):
    """A route's translation as a module, (source, code) -> translation, with the networks that are used, no others."""

    def __init__(self, trainer: Trainer, route: str, used: Sequence[nn.Module], latent: str | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(used)
        self._made_by = (trainer, route, latent)

    def forward(self, source: Tensor, code: Tensor | None = None) -> Tensor:
        """N,C,H,W, and N,dim of a method with codes -> N,C,H,W in [-1, 1]."""
        trainer, route, latent = self._made_by
        given = {str(latent): code} if code is not None else {}
        batch = {trainer.routes[route][0]: source}
        with trainer.translating(batch, route, given, seed_layers=False) as forward:  # a program cannot hold seeds
            translation: Tensor = getattr(forward, "translation")  # noqa: B009
            return translation.clamp(-1, 1)


@torch.no_grad()
def export(translator: Translator, out: Path, route: str = "ab") -> Exported:
    """Write a translator's route as a program, for any batch and size, and compare what is written with the translator.

    Args:
        translator: on the CPU; its networks compute in fp32, whatever the recipe's precision.
        out: the file, FILE.pt2.
        route: the direction.

    Raises:
        UsageError: the method or its networks cannot be exported; or the file cannot be written there.
        ForgeError: the program translates otherwise than the run. Then there is no file.
    """
    in_fp32 = translator.trainer.alike(precision="fp32")
    return _written(Translator(in_fp32, translator.recipe, translator.step), out, route)


def _written(translator: Translator, out: Path, route: str) -> Exported:
    if further := translator.further(route):
        raise UsageError(
            f"the translation reads `{further[0]}` beside its source, and a program takes the source alone",
            fix="use the run itself: `forge translate`",
        )
    trainer, latent, sides = translator.trainer, translator.latent(route), translator.sides(route)
    inputs = _inputs(translator, route, 2, 1, 2)
    used = used_for(trainer, lambda x: trainer.translate(x, route), inputs[0])
    program = Program(trainer, route, used, latent)
    axes = [_axes(translator, route, number, len(value.shape)) for number, value in enumerate(inputs)]
    exported = _exported(program, inputs, axes, sides)
    about: dict[str, Any] = {
        "recipe": translator.recipe.name, "step": translator.step, "route": route,
        "inputs": ("source", latent) if latent else ("source",),
        "code_dim": inputs[1].shape[1] if latent else 0,
        "code": _described(inputs[1].shape, axes[1], sides.stride) if latent else "",
        "stride": sides.stride, "smallest": sides.least,
    }  # fmt: skip
    spaces = {domain: trainer.spaces[domain].data() for domain in trainer.routes[route]}
    told = about | ({"spaces": spaces} if any(spaces.values()) else {})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(out) as partial:
            with partial.open("xb") as file:
                torch.export.save(exported, file, extra_files={ABOUT: json.dumps(told)})
            difference, checked = _difference(translator, route, program, partial)
            are_rgb8 = all(space.is_rgb8 for space in trainer.ends(route))
            if not difference <= (TOLERANCE if are_rgb8 else OF_MEASURED):
                name = translator.recipe.name
                raise ForgeError(
                    f"the exported program differs by {difference:.2g} from {name}'s own translations",
                    fix="report it to the plugin of its networks: what they do depends on the size or the batch",
                )
    except OSError as error:
        raise disk_error(out, error, refused="name another file") from error
    return Exported(**about, difference=difference, checked=checked)


def is_export(file: Path) -> bool:
    """Whether a file is what `export` writes."""
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
        return any(name.endswith(f"/{ABOUT}") for name in archive.namelist())
    return False


def _exported(program: Program, inputs: tuple[Tensor, ...], axes: Sequence[Axes], sides: Sides) -> ExportedProgram:
    units = sides.least // sides.stride
    images, ways = Dim("N"), (Dim("h", min=units), Dim("w", min=units))
    shapes = tuple({0: images, **{axis: each * ways[way] for axis, (way, each) in of.items()}} for of in axes)
    try:
        # maps of one pixel, and one image, are no other program than larger ones: what is written is compared
        with symbolic.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            return torch.export.export(program, inputs, dynamic_shapes=shapes, strict=False)
    except ForgeError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UsageError(
            f"the translation cannot be exported: {lines[0][:300]}",
            fix="let networks use x.shape and no len(), .item() or `if` on values; `forge --debug` shows where",
        ) from error


def _axes(translator: Translator, route: str, number: int, count: int) -> Axes:
    """Which axes of an input grow with the image, found by larger images."""
    small, high, wide = (_inputs(translator, route, 1, *by)[number].shape for by in ((1, 1), (2, 1), (1, 2)))
    return {
        axis: (way, larger[axis] - small[axis])
        for way, larger in enumerate((high, wide)) for axis in range(count) if larger[axis] != small[axis]
    }  # fmt: skip


def _described(shape: Sequence[int], axes: Axes, stride: int) -> str:
    letters = {
        axis: "HW"[way] if each == stride else f"{'HW'[way]}*{each}/{stride}" for axis, (way, each) in axes.items()
    }
    return ",".join(["N", *(letters.get(axis, str(size)) for axis, size in enumerate(shape) if axis)])


def _inputs(translator: Translator, route: str, count: int, rows: int, columns: int) -> tuple[Tensor, ...]:
    """Images with so many strides more than the smallest, and codes for them."""
    sides = translator.sides(route)
    height, width = sides.least + rows * sides.stride, sides.least + columns * sides.stride
    draws = generator("export", count, height, width)
    x = torch.rand(count, len(translator.trainer.ends(route)[0]), height, width, generator=draws) * 2 - 1
    latent, source = translator.latent(route), translator.trainer.routes[route][0]
    return (x, translator.trainer.infer(latent, {source: x}, route, generator=draws)) if latent else (x,)


def _difference(
    translator: Translator, route: str, own: Program, file: Path
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """The largest difference of a written program from its translator's networks, and the shapes it was found for."""
    program, found, shapes = torch.export.load(file).module(), [], []
    for count, *by in ((1, 0, 0), (1, 2, 1), (3, 1, 0), (2, 1, 4)):
        inputs = _inputs(translator, route, count, *by)
        wanted, got = _alike(own, inputs), _alike(program, inputs)
        found.append((got - wanted).abs().max())
        shapes.append(tuple(inputs[0].shape))
    return float(torch.stack(found).max()), tuple(shapes)


def _alike(program: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """What it makes of the inputs with the same draws each time, where dropout goes on in inference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return program(*inputs)  # type: ignore[no-any-return]
