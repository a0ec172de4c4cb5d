"""Translating one image into many styles: encoded once, beside one style at a time; and images in batches.

python -m i2i_forge_benchmarks.styles munit_edge2shoes --out benchmarks/results
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import i2i_forge
from i2i_forge.translate.translator import Translator
from i2i_forge_benchmarks.methods import counted
from i2i_forge_benchmarks.shared import in_turn, out_option, publish, ratio

Way = Callable[[], object]


@click.command()
@click.argument("recipe")
@click.option("--set", "changes", multiple=True)
@click.option("--styles", default=20, show_default=True)
@click.option("--batches", multiple=True, default=[1, 4, 16], show_default=True, help="Images at once.")
@click.option("--rounds", default=3, show_default=True, help="Measurements of each, in turn.")
@click.option("--device", default="cpu", show_default=True)
@out_option
def main(
    recipe: str, changes: tuple[str, ...], styles: int, batches: tuple[int, ...], rounds: int, device: str,
    out: Path | None,
) -> None:  # fmt: skip
    """Measure the translator of RECIPE, with weights as they are drawn."""
    lines = ["Seconds are medians; a ratio is the median of the ratios of measurements that followed each other.\n",
             "| precision | as `forge translate` | one at a time | ratio | in one batch | ratio | network calls |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    speeds = [f"\n{', '.join(map(str, batches))} images at once, one style each, images/s:\n",
              f"| precision | {' | '.join(map(str, batches))} |", f"| --- |{' --- |' * len(batches)}"]  # fmt: skip
    for precision in ("fp32", "bf16"):
        found = i2i_forge.load_recipe(recipe, set=[*changes, f"precision={precision}"])
        translator = Translator(i2i_forge.build_trainer(found, device=device), found, 0)
        size = found.data.options["size"]
        ways = Ways(translator, size, styles)
        ways.agree(1e-3 if precision == "fp32" else 0.1)
        mine, one_each, together = in_turn([ways.as_translated, ways.one_by_one, ways.in_one_batch], rounds)
        calls = ", ".join(f"{role} {count}" for role, count in counted(translator.trainer, ways.as_translated).items())
        medians = [statistics.median(times) for times in (mine, one_each, together)]
        lines.append(
            f"| {precision} | {medians[0]:.2f} | {medians[1]:.2f} | {ratio(mine, one_each):.2f} "
            f"| {medians[2]:.2f} | {ratio(together, one_each):.2f} | {calls} |"
        )
        rates = in_turn([_batch(translator, count, size) for count in batches], rounds)
        shown = (f"{count / statistics.median(times):.2f}" for count, times in zip(batches, rates, strict=True))
        speeds.append(f"| {precision} | {' | '.join(shown)} |")
    publish("styles", f"{styles} styles for one image, {recipe}", [*lines, *speeds], out, device=device)


class Ways:
    """One image, some styles, and three ways to translate it into them."""

    def __init__(self, translator: Translator, size: int, styles: int) -> None:
        self.translator = translator
        self.latent = str(translator.latent("ab"))
        self.x = torch.rand(1, 3, size, size) * 2 - 1
        drawn = translator.trainer.infer(self.latent, {"a": self.x}, "ab").cpu().expand(styles, -1)
        self.codes = drawn + torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))

    def as_translated(self) -> Tensor:
        """What no style changes computed once, styles in batches of the translator's choice."""
        return torch.stack(list(self.translator.translations(self.x, "ab", self.codes)))

    def one_by_one(self) -> Tensor:
        """Everything computed for every style."""
        return torch.cat([self._translated(code[None]) for code in self.codes])

    def in_one_batch(self) -> Tensor:
        """What no style changes computed once, all styles in one batch."""
        return self._translated(self.codes)

    def agree(self, tolerance: float) -> None:
        """The three give the same, up to rounding; the first use of every kernel is behind."""
        for other in (self.as_translated(), self.in_one_batch()):
            torch.testing.assert_close(other, self.one_by_one(), rtol=0, atol=tolerance)

    def _translated(self, codes: Tensor) -> Tensor:
        chosen: dict[str, Any] = {self.latent: codes}
        return self.translator.translate(self.x, "ab", **chosen)


def _batch(translator: Translator, count: int, size: int) -> Way:
    x = torch.rand(count, 3, size, size) * 2 - 1
    return lambda: translator.translate(x)


if __name__ == "__main__":
    main()
