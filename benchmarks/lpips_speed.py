"""LPIPS diversity over all pairs: the `lpips` package's pairs beside ours.

    python -m i2i_forge_benchmarks.lpips_speed --out benchmarks/results

Both measure the same images with the same network, whose trunk is random: its weights do not change the time. The
package gets the pairs of one input K at a time, so that a call of either's trunk has K images. Times are medians of
repeats in turn in one process; peak memory is measured in a process of its own for each.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import click
import torch
from torch import Tensor, nn

from i2i_forge.measure import Batch, Tools, exact
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge.system.seeding import generator
from i2i_forge_benchmarks.shared import alone, in_turn, out_option, publish
from i2i_forge_plugins.backbones.lpips import TRUNKS, LpipsNetwork, lpips_backbone
from i2i_forge_plugins.metrics.lpips_diversity import LpipsDiversity


@click.command()
@click.option("--draws", multiple=True, default=[10, 20], help="Translations of each input.")
@click.option("--inputs", default=3)
@click.option("--size", default=256)
@click.option("--repeats", default=5)
@click.option("--device", default="cpu")
@out_option
@click.option("--child", type=click.Choice(["lpips", "ours"]), hidden=True)
def main(
    draws: tuple[int, ...], inputs: int, size: int, repeats: int, device: str, out: Path | None, child: str | None
) -> None:
    """Measure LPIPS diversity, the package's and ours."""
    if child:
        click.echo(Comparison(draws[0], inputs, size, device).peak(child))
        return
    rows = []
    for count in draws:
        comparison = Comparison(count, inputs, size, device)
        options = [f"--draws={count}", f"--inputs={inputs}", f"--size={size}", f"--device={device}"]
        peaks = {way: alone("lpips_speed", f"--child={way}", *options) for way in ("lpips", "ours")}
        rows.append(_row(comparison, comparison.seconds(repeats), peaks))
        click.echo(rows[-1], err=True)
    lines = [
        f"{inputs} inputs, {size}x{size}, random AlexNet, fp32; medians of {repeats} repeats, in turn.",
        "The values agree to 1e-5. The package gets K pairs at a time, so a call of either's trunk has K images.",
        "Memory: the peak above that of images and networks, each in a process of its own.\n",
        "| K | forwards, lpips | ours | seconds, lpips | ours | times faster | MiB, lpips | ours |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    title = "LPIPS diversity over all pairs: the `lpips` package and ours"
    publish("lpips_speed", title, lines, out, "lpips", device=device, name="lpips")


class Comparison:
    """The same images, and the two ways to measure them.

    Args:
        draws: images of each input.
        inputs: how many inputs.
        size: of the square images.
        device: where they are.
    """

    def __init__(self, draws: int, inputs: int, size: int, device: str) -> None:
        self.tools = Tools(torch.device(device), backbone="random")
        self.network = lpips_backbone(self.tools)
        self.package = package_of(self.network).to(device)
        self.protocol = replace(LpipsDiversity.protocols[0], draws=draws)
        noise = generator("lpips_speed", draws)
        shape = (draws, 3, size, size)
        self.images = [torch.rand(shape, generator=noise).mul_(2).sub_(1).to(device) for _ in range(inputs)]
        self.ways: dict[str, Callable[[], float]] = {"lpips": self.by_package, "ours": self.by_metric}
        self.forwards = dict.fromkeys(self.ways, 0)
        self.package.get_submodule("net.slice1.0").register_forward_pre_hook(partial(self._count, "lpips"))
        self.network.trunk[0].register_forward_pre_hook(partial(self._count, "ours"))

    def by_package(self) -> float:
        """Mean over inputs and pairs, as many pairs at a time as an input has images."""
        total, count = 0.0, 0
        with exact():
            for images in self.images:
                pairs = torch.combinations(torch.arange(len(images)))
                for part in pairs.split(len(images)):
                    total += self.package(images[part[:, 0]], images[part[:, 1]]).double().sum().item()
                    count += len(part)
        return total / count

    def by_metric(self) -> float:
        """The metric's value."""
        metric = LpipsDiversity(self.protocol, self.tools)
        for number, images in enumerate(self.images):
            draws = len(images)
            metric.update(Batch(images, [number] * draws, list(range(draws)), [str(number)] * draws))
        return metric.compute()[0].value

    def seconds(self, repeats: int) -> dict[str, float]:
        """Median times, in turn, after one run that is not measured; both find the same value."""
        first, second = (way() for way in self.ways.values())
        assert abs(first - second) < 1e-5 * first, (first, second)
        self.forwards = dict.fromkeys(self.ways, 0)
        times = in_turn(list(self.ways.values()), repeats)
        self.forwards = {name: count // repeats for name, count in self.forwards.items()}
        return {name: statistics.median(values) for name, values in zip(self.ways, times, strict=True)}

    def peak(self, name: str) -> int:
        """Bytes that one way needs at most, above those of images and networks."""
        gc.collect()
        if self.tools.device.type == "cuda":
            before = torch.cuda.memory_allocated()
            self.ways[name]()
            return torch.cuda.max_memory_allocated() - before
        forget_peak()
        before = memory("VmHWM")
        self.ways[name]()
        return memory("VmHWM") - before

    def _count(self, name: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
        self.forwards[name] += len(inputs[0])


def package_of(network: LpipsNetwork, net: str = "alex", version: str = "0.1") -> nn.Module:
    """The package's own module on a copy of our trunk; the linear weights it reads itself."""
    import lpips
    from torchvision import models

    torchvisions = SimpleNamespace(features=deepcopy(network.trunk))  # what the package takes from torchvision
    with mock.patch.object(models, TRUNKS[net].model, lambda pretrained: torchvisions):
        theirs = lpips.LPIPS(net=net, version=version, pnet_rand=True, verbose=False)
    return theirs.requires_grad_(False)


def _row(comparison: Comparison, seconds: dict[str, float], peaks: dict[str, int]) -> str:
    forwards, ratio = comparison.forwards, seconds["lpips"] / seconds["ours"]
    cells = [
        f"{comparison.protocol.draws}", f"{forwards['lpips']}", f"{forwards['ours']}",
        f"{seconds['lpips']:.2f}", f"{seconds['ours']:.2f}", f"{ratio:.1f}",
        f"{peaks['lpips'] / 2**20:,.0f}", f"{peaks['ours'] / 2**20:,.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
