"""Weights, images and noise given by formulas, and comparisons with figures measured on published code.

The figures' JSON files hold the formulas too (`recipe`). Those measured with numbers that were rounded to float32 and
then used in float64 want `rounded=True`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from loaded import FORMATS, trainer_of
from torch import Tensor

from i2i_forge.run.foreign import load_foreign

RELATIVE = 1e-9
NEAR_ONE = ("weight", "gamma", "scale")  # the last part of names whose vectors multiply


def weights(shapes: Iterable[tuple[str, Sequence[int]]], phase: float, rounded: bool = False) -> dict[str, Tensor]:
    """The parameters of a network, in float64. `shapes`: name and shape in the order of registration."""
    made = {}
    for k, (name, shape) in enumerate(shapes):
        count = math.prod(shape)
        wave = torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + 1.3 * k + phase).reshape(tuple(shape))
        if len(shape) > 1:
            value = wave / math.sqrt(count / shape[0])
        else:
            value = 1 + 0.1 * wave if name.endswith(NEAR_ONE) else 0.1 * wave
        made[name] = value.float().double() if rounded else value
    return made


def with_weights(trainer: Any, layout: str, content: Mapping[str, Any]) -> Any:
    """The trainer with the weights of these parts, which come in as published files."""
    with TemporaryDirectory() as folder:
        files = {part: Path(folder) / FORMATS.get(layout)().file.format(part=part, step=0) for part in content}
        for part, file in files.items():
            torch.save(content[part], file)
        load_foreign(trainer, files, layout, FORMATS)
    return trainer


def double(recipe: str, *sets: str) -> Any:
    """The float64 trainer of a shipped recipe with these changes."""
    return trainer_of(recipe, *sets, dtype=torch.float64)


def two_domains(shapes: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Tensor]]]:
    """The parts of MUNIT's and UNIT's files, by the shapes of `gen_a` and `dis_a`."""
    gen, dis = shapes["gen_a"], shapes["dis_a"]
    return {
        "gen": {"a": weights(gen, 0.0), "b": weights(gen, 0.5)},
        "dis": {"a": weights(dis, 1.0), "b": weights(dis, 1.5)},
    }


def assert_steps_of_two_domains(
    trainer: Any, golden: Mapping[str, Any], names: Mapping[str, str], of_terms: Mapping[str, float], given: Any
) -> None:
    """The training steps of MUNIT and UNIT: each loss, the phases' totals, then what the networks have become.

    Args:
        golden: the figures of a case.
        names: of the losses, theirs -> ours.
        of_terms: their weights.
        given: step -> draws.
    """
    assert len(golden["steps"]) == 3
    a, b = images(golden["batch"])
    for step, expected in enumerate(golden["steps"]):
        report = trainer.step({"a": a, "b": b}, step, given=given(step))
        assert set(report) == set(names.values())
        for theirs, ours in names.items():
            assert close(report[ours], expected[f"loss_{theirs}"]), (step, ours)
        for phase, total in (("discriminator", "loss_dis_total"), ("generator", "loss_gen_total")):
            ours_total = sum(v * of_terms[k.split("/")[1]] for k, v in report.items() if k.startswith(phase))
            assert close(ours_total, expected[total]), (step, total)
    sums = dict.fromkeys(golden["param_abs_sum_after"], 0.0)
    for name, value in trainer.state_dict().items():
        role, domain, _ = name.split(".", 2)
        sums[f"{'dis' if role == 'discriminator' else 'gen'}_{domain}"] += value.abs().sum().item()
    for network, expected_sum in golden["param_abs_sum_after"].items():
        assert close(sums[network], expected_sum), network


def images(shape: Sequence[int], rounded: bool = False) -> tuple[Tensor, Tensor]:
    """The batches A and B, N,C,H,W in float64."""
    n, c, y, x = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in shape), indexing="ij")
    a, b = torch.sin(0.13 * x + 0.17 * y + 1.1 * c + 2.3 * n), torch.cos(0.11 * x - 0.19 * y + 0.7 * c + 1.7 * n)
    return (a.float().double(), b.float().double()) if rounded else (a, b)


def drawn(count: int, dim: int, call: int) -> Tensor:
    """The draw number `call`: count,dim. A draw of maps is this, reshaped: `dim` counts within a sample."""
    n, j = torch.meshgrid(torch.arange(count).double(), torch.arange(dim).double(), indexing="ij")
    return torch.sin(1.9 * j + 0.8 * n + call)


def close(ours: float, theirs: float, relative: float = RELATIVE) -> bool:
    """Equal up to `relative`; a figure that is zero wants zero."""
    return math.isclose(ours, theirs, rel_tol=relative, abs_tol=0)


def assert_statistics(value: Tensor, expected: Mapping[str, Any], relative: float = RELATIVE) -> None:
    """A float64 tensor against shape, mean, abs_mean, std and single elements (`at`, by flat index)."""
    shape = list(value.shape)
    assert shape + [1] * (len(expected["shape"]) - len(shape)) == expected["shape"]
    assert value.dtype == torch.float64
    assert close(value.abs().mean().item(), expected["abs_mean"], relative)
    # A mean of numbers that cancel is exact to their size, not to its own.
    assert math.isclose(value.mean().item(), expected["mean"], rel_tol=relative, abs_tol=1e-3 * relative)
    if value.numel() == 1:
        assert expected["std"] is None or math.isnan(expected["std"])
    else:
        assert math.isclose(value.std().item(), expected["std"], rel_tol=relative, abs_tol=1e-3 * relative)
    assert len(expected["at"]) >= min(value.numel(), 2)
    for index, number in expected["at"].items():
        ours = value.flatten()[int(index)].item()
        assert math.isclose(ours, number, rel_tol=relative, abs_tol=1e-3 * relative), index
