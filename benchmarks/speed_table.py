"""The page of the speed benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TITLE = "# A training step: time, memory, and where the time goes"


@dataclass(frozen=True)
class Row:
    """What was measured of one way to take a step.

    Attributes:
        name: of the way.
        seconds: the median of its steps.
        ratio: of its time to the plain step's in the same round, the median.
        images: in a step and domain.
        operations: multiplications and additions of a step.
        bytes: peak memory.
        kinds: kind of operation -> share of the time.
    """

    name: str
    seconds: float
    ratio: float
    images: int
    operations: int
    bytes: int
    kinds: Mapping[str, float]


def page(tables: Mapping[str, Sequence[Row]], ceilings: Mapping[str, float], source: Sequence[str]) -> str:
    """Markdown: for each recipe a table, with everything that is needed to repeat it."""
    best = ", ".join(f"{precision} {rate / 1e9:,.0f} GFLOP/s" for precision, rate in ceilings.items())
    lines = [f"{TITLE}\n", *source]
    lines += [
        f"The ceiling, a large matrix product in the same run: {best}. Convolutions may pass it:",
        "some algorithms need fewer operations than are counted, and libraries differ. Ratios are to the first row's",
        "time in the same round, and to its peak memory (weights, optimizers, activations). Counted are the operations",
        "of convolutions and products, those that are computed again too. On GPUs fp32 has TF32 in convolutions, as",
        "torch does it by default.\n",
    ]
    for recipe, rows in tables.items():
        lines += [
            f"## {recipe}: {rows[0].images} image{'s' * (rows[0].images > 1)} in a step\n",
            *_table(rows, ceilings),
            "",
        ]
    return "\n".join(lines)


def _table(rows: Sequence[Row], ceilings: Mapping[str, float]) -> list[str]:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.kinds))
    head = ["", "seconds", "ratio", "images/s", "memory", "ratio", "TFLOP", "of the ceiling", *kinds]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        rate = ceilings["bf16" if row.name.startswith("bf16") else "fp32"]
        lines.append(
            [row.name, f"{row.seconds:.3f}", f"{row.ratio:.2f}", f"{row.images / row.seconds:.2f}",
             f"{row.bytes / 2**20:,.0f} MiB", f"{row.bytes / rows[0].bytes:.2f}", f"{row.operations / 1e12:.2f}",
             f"{row.operations / row.seconds / rate:.0%}", *(f"{row.kinds.get(kind, 0):.0%}" for kind in kinds)]
        )  # fmt: skip
    return [f"| {' | '.join(line)} |" for line in lines]
