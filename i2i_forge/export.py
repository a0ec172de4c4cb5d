"""A run's translator as one file that needs PyTorch alone: no recipe, no plugins, no i2i_forge.

    program = torch.export.load("munit.pt2").module()
    y = program(x, style)        # x: N,3,H,W in [-1, 1], style: N,dim -> N,3,H,W in [-1, 1]
    y = program(x)               # of a deterministic method

The sides of x are multiples of `stride` and at least `smallest`, which the file's extra text "i2i_forge.json" says:

    about = {"i2i_forge.json": ""}
    torch.export.load("munit.pt2", extra_files=about)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.forward_pass import ForwardPass
from i2i_forge.passes import StepPasses
from i2i_forge.seeding import generator
from i2i_forge.trainer import Trainer
from i2i_forge.translate import SMALLEST, Translator

ABOUT = "i2i_forge.json"
TOLERANCE = 1e-3  # of values in [-1, 1]; kernels may be others than in the run's own translator


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        recipe, step, route: what it translates with.
        inputs: "source", and the name of the code where there is one.
        code_dim: length of the code, 0 for none.
        stride, smallest: sides are multiples of the one and not less than the other.
        difference: the largest one from the run's own translations, in values from -1 to 1.
        checked: the shapes that were compared.
    """

    recipe: str
    step: int
    route: str
    inputs: tuple[str, ...]
    code_dim: int
    stride: int
    smallest: int
    difference: float
    checked: tuple[tuple[int, ...], ...]


class Program(nn.Module):
    """A route's translation as a module: source -> translation. It has the networks that are used, no others."""

    def __init__(self, trainer: Trainer, route: str, used: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(used)
        self._made_by = (trainer, route)

    def forward(self, source: Tensor) -> Tensor:
        """N,3,H,W -> N,3,H,W in [-1, 1]."""
        return self._translated(source, {})

    def _translated(self, source: Tensor, given: dict[str, Tensor]) -> Tensor:
        trainer, route = self._made_by
        batch, along = {trainer.routes[route][0]: source}, {"translate": {route: given}}
        passes = StepPasses(trainer, batch, 0, along, training=False, watcher=_Nobody())
        try:
            translation: Tensor = getattr(passes.get("translate", route), "translation")  # noqa: B009
            return translation.clamp(-1, 1)
        finally:
            passes.clear()


class CodedProgram(Program):
    """The same with a code: (source, code) -> translation."""

    def __init__(self, trainer: Trainer, route: str, used: Sequence[nn.Module], latent: str) -> None:
        super().__init__(trainer, route, used)
        self._latent = latent

    def forward(self, source: Tensor, code: Tensor) -> Tensor:  # type: ignore[override]
        """N,3,H,W and N,dim -> N,3,H,W in [-1, 1]."""
        return self._translated(source, {self._latent: code})


class _Nobody:
    """A watcher that looks away: with one, a pass seeds no layers, which a program cannot hold."""

    def asked(self, forward: ForwardPass, name: str) -> None: ...

    def computing(self, forward: ForwardPass, name: str) -> AbstractContextManager[None]:
        return nullcontext()


@contextmanager
def _in_fp32(trainer: Trainer) -> Iterator[None]:
    before, trainer.precision = trainer.precision, "fp32"
    try:
        yield
    finally:
        trainer.precision = before


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
    with _in_fp32(translator.trainer):
        return _written(translator, out, route)


def _written(translator: Translator, out: Path, route: str) -> Exported:
    trainer, latent, stride = translator.trainer, translator.latent(route), translator.multiple
    trainer._set_mode(training=False)
    units = math.ceil(SMALLEST / stride)
    inputs = _inputs(translator, route, 2, (units + 1) * stride, (units + 2) * stride)
    used = _used(translator, route, inputs)
    program = CodedProgram(trainer, route, used, latent) if latent else Program(trainer, route, used)
    exported = _exported(program, inputs, stride, units)
    partial = out.with_name(f".{out.name}.part.pt2")
    about: dict[str, Any] = {
        "recipe": translator.recipe.name, "step": translator.step, "route": route,
        "inputs": ("source", latent) if latent else ("source",),
        "code_dim": inputs[1].shape[1] if latent else 0, "stride": stride, "smallest": units * stride,
    }  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        torch.export.save(exported, partial, extra_files={ABOUT: json.dumps(about)})
        difference, checked = _difference(translator, route, partial, units, stride)
        if not difference <= TOLERANCE:
            raise ForgeError(
                f"the exported program differs by {difference:.2g} from {translator.recipe.name}'s own translations",
                fix="report it to the plugin of its networks: what they do depends on the size or the batch",
            )
        partial.replace(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}", fix="name another file") from error
    finally:
        if partial.is_file():
            partial.unlink()
    return Exported(**about, difference=difference, checked=checked)


def _exported(program: Program, inputs: tuple[Tensor, ...], stride: int, units: int) -> ExportedProgram:
    images, height, width = Dim("N"), Dim("h", min=units), Dim("w", min=units)
    source = {0: images, 2: stride * height, 3: stride * width}
    shapes = (source, {0: images})[: len(inputs)]
    try:
        return torch.export.export(program, inputs, dynamic_shapes=shapes, strict=False)
    except ForgeError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UsageError(
            f"the translation cannot be exported: {lines[0][:300]}",
            fix="let networks use x.shape and no len(), .item() or `if` on values; `forge --debug` shows where",
        ) from error


def _used(translator: Translator, route: str, inputs: tuple[Tensor, ...]) -> list[nn.Module]:
    """The networks that a translation runs, or parts of which it does."""
    called: set[nn.Module] = set()
    with ExitStack() as hooks:
        for _, network in translator.trainer.modules():
            for module in network.modules():
                hooks.callback(module.register_forward_pre_hook(lambda m, _: called.add(m)).remove)
        _translated(translator, route, inputs)
    return [network for _, network in translator.trainer.modules() if called & set(network.modules())]


def _inputs(translator: Translator, route: str, count: int, height: int, width: int) -> tuple[Tensor, ...]:
    draws = generator("export", count, height, width)
    x = torch.rand(count, 3, height, width, generator=draws) * 2 - 1
    latent, source = translator.latent(route), translator.trainer.routes[route][0]
    return (x, translator.trainer.infer(latent, {source: x}, route, generator=draws)) if latent else (x,)


def _translated(translator: Translator, route: str, inputs: tuple[Tensor, ...]) -> Tensor:
    given: dict[str, Any] = {str(translator.latent(route)): code for code in inputs[1:]}
    return translator.translate(inputs[0], route, **given)


def _difference(
    translator: Translator, route: str, file: Path, units: int, stride: int
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """The largest difference of a written program from its translator, and the shapes it was found for."""
    program, found, shapes = torch.export.load(file).module(), [], []
    for count, height, width in ((1, 0, 0), (1, 2, 1), (3, 1, 0), (2, 1, 4)):
        inputs = _inputs(translator, route, count, (units + height) * stride, (units + width) * stride)
        found.append((program(*inputs) - _translated(translator, route, inputs)).abs().max())
        shapes.append(tuple(inputs[0].shape))
    return float(torch.stack(found).max()), tuple(shapes)
