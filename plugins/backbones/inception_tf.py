"""Inception-v3 as TensorFlow published it on 2015-12-05 (Szegedy et al. 2016, Rethinking the Inception Architecture).

FID and the Inception Score are defined by this network. Three things differ from torchvision's: averages leave out the
padding, the last block has a maximum where the paper has an average, and there are 1008 classes. Tensors have the
names that they have in the file `weights-inception-2015-12-05-6726825d.pth`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 1008
FEATURES = 2048
SIZE = 299

Pool = Callable[[Tensor], Tensor]
average: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
maximum: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
halving: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)

# The branches of the blocks, by the paper's figures. Layers are channels@HxW, one after another (>) or side by side
# (|); those with /2 halve the image.
FIGURE_5 = {"branch1x1": "64@1x1", "branch5x5": "48@1x1 > 64@5x5", "branch3x3dbl": "64@1x1 > 96@3x3 > 96@3x3"}
FIRST_HALVING = {"branch3x3": "384@3x3/2", "branch3x3dbl": "64@1x1 > 96@3x3 > 96@3x3/2"}
SECOND_HALVING = {
    "branch3x3": "192@1x1 > 320@3x3/2",
    "branch7x7x3": "192@1x1 > 192@1x7 > 192@7x1 > 192@3x3/2",
}
FIGURE_7 = {
    "branch1x1": "320@1x1",
    "branch3x3": "384@1x1 > 384@1x3 | 384@3x1",
    "branch3x3dbl": "448@1x1 > 384@3x3 > 384@1x3 | 384@3x1",
}


def figure_6(width: int) -> dict[str, str]:
    """7x7 convolutions, each made of a row and a column."""
    return {
        "branch1x1": "192@1x1",
        "branch7x7": f"{width}@1x1 > {width}@1x7 > 192@7x1",
        "branch7x7dbl": f"{width}@1x1 > {width}@7x1 > {width}@1x7 > {width}@7x1 > 192@1x7",
    }


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int, *, padded: bool) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """B,inputs,H,W -> B,outputs,H',W'."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches of one input, their outputs side by side along the channels.

    Args:
        inputs: channels.
        branches: name -> layers. Layers of one branch are called name_1, name_2, ...; side by side name_3a, name_3b.
        pool: of the last branch.
        pooled: output channels of a convolution behind the pool; 0: there is none.
    """

    def __init__(self, inputs: int, branches: Mapping[str, str], pool: Pool, pooled: int = 0) -> None:
        super().__init__()
        self.pool = pool
        self.branch_pool = Convolution(inputs, pooled, (1, 1), 1, padded=True) if pooled else nn.Identity()
        self.chains = [self._chain(inputs, name, layers.split(">")) for name, layers in branches.items()]

    def _chain(self, inputs: int, branch: str, steps: list[str]) -> list[list[str]]:
        """Make the layers of a branch; the names of those side by side at each step."""
        chain = []
        for place, step in enumerate(steps, start=1):
            layers = re.findall(r"(\d+)@(\d)x(\d)(/2)?", step)
            stem = f"{branch}_{place}" if len(steps) > 1 else branch
            names = [stem + letter for letter in "ab"] if len(layers) > 1 else [stem]
            for name, (outputs, height, width, half) in zip(names, layers, strict=True):
                kernel = int(height), int(width)
                self.add_module(name, Convolution(inputs, int(outputs), kernel, 2 if half else 1, padded=not half))
            inputs = sum(int(layer[0]) for layer in layers)
            chain.append(names)
        return chain

    def forward(self, x: Tensor) -> Tensor:
        """B,inputs,H,W -> B,outputs,H',W'."""
        outputs = []
        for chain in self.chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], 1)
            outputs.append(y)
        return torch.cat([*outputs, self.branch_pool(self.pool(x))], 1)


class InceptionTf(nn.Module):
    """The network up to its last average; `fc` is there for the Inception Score."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), 1, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3), 1, padded=True)
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1), 1, padded=True)
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), 1, padded=False)
        self.Mixed_5b = Mixed(192, FIGURE_5, average, 32)
        self.Mixed_5c = Mixed(256, FIGURE_5, average, 64)
        self.Mixed_5d = Mixed(288, FIGURE_5, average, 64)
        self.Mixed_6a = Mixed(288, FIRST_HALVING, halving)
        self.Mixed_6b = Mixed(768, figure_6(128), average, 192)
        self.Mixed_6c = Mixed(768, figure_6(160), average, 192)
        self.Mixed_6d = Mixed(768, figure_6(160), average, 192)
        self.Mixed_6e = Mixed(768, figure_6(192), average, 192)
        self.Mixed_7a = Mixed(768, SECOND_HALVING, halving)
        self.Mixed_7b = Mixed(1280, FIGURE_7, average, 192)
        self.Mixed_7c = Mixed(2048, FIGURE_7, maximum, 192)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """B,3,299,299 in [-1, 1] -> B,2048 features, not negative."""
        x = halving(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = halving(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))
