"""Statistics of a whole image, for networks that are shown one part of it after the other.

Instance norm, AdaIN, layer norm over C,H,W and global averages depend on every place of the image. Inside `Statistics`
each of them takes its mean and variance from a list, in the order of the calls, so that all else is local.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from i2i_forge.errors import UsageError

WITHOUT = "translate without tiles (`--tile 0`); scale the image down if memory runs out"


@dataclass(frozen=True)
class Core:
    """Whose places count: rows top to bottom and columns left to right of a part of height x width pixels."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int

    def of(self, x: Tensor) -> Tensor:
        """The same part of features, whose height and width may be others."""
        rows, columns = x.shape[-2] / self.height, x.shape[-1] / self.width
        return x[..., round(self.top * rows) : round(self.bottom * rows),
                 round(self.left * columns) : round(self.right * columns)]  # fmt: skip


EVERYWHERE = Core(0, 1, 0, 1, 1, 1)


class _Measured(BaseException):
    """What was to be measured is; the rest of the run is not needed. No `except Exception` of a network stops it."""


class Moments:
    """Mean and variance over places, added part by part in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, x: Tensor, dims: Sequence[int]) -> None:
        """Count these features too."""
        kept = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(kept, list(dims), correction=0, keepdim=True)
        mean, count = mean.double(), x.numel() // mean.numel()
        self.count += count
        self._sum = self._sum + count * mean
        self._squares = self._squares + count * (variance.double() + mean.square())

    def mean(self) -> Tensor:
        """Of all that was added, float64, the axes kept."""
        return self._sum / self.count  # type: ignore[no-any-return]

    def variance(self, correction: float = 0) -> Tensor:
        """The same of the variance."""
        biased: Tensor = (self._squares / self.count - self.mean().square()).clamp(min=0)
        return biased * (self.count / (self.count - correction))


class Statistics(TorchFunctionMode):
    """Inside `applied` the networks' statistics are the whole image's."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[Moments] = []
        self._next = Moments()
        self._mode: Literal["sampling", "measuring", "using"] = "using"
        self._call, self._core = 0, EVERYWHERE

    def measures(self, run: Callable[[], object], core: Core) -> bool:
        """Run the networks up to the first statistic that is not settled, and count this part; False: there is none."""
        try:
            with self.applied("measuring", core):
                run()
        except _Measured:
            return True
        return False

    def settle(self) -> None:
        """What was measured is the whole image's."""
        self.settled.append(self._next)
        self._next = Moments()

    @contextmanager
    def applied(
        self, mode: Literal["sampling", "measuring", "using"] = "using", core: Core = EVERYWHERE
    ) -> Iterator[None]:
        """Inside, every statistic that the networks take is answered here.

        Args:
            mode: "using": the settled ones. "sampling": that of the batch, all of its images taken as parts of one,
                which is settled so. "measuring": the first that is not settled is measured, and ends the run.
            core: whose places are measured.
        """
        self._mode, self._core, self._call = mode, core, 0
        with self:
            yield

    def moments(self, x: Tensor, dims: Sequence[int]) -> Moments:
        """Of these features in the whole image: dims are those that are averaged over."""
        call, self._call = self._call, self._call + 1
        if call == len(self.settled) and self._mode == "measuring":
            self._next.add(self._core.of(x), dims)
            raise _Measured
        if self._mode == "sampling":
            self.settled.append(Moments())
            self.settled[-1].add(x, sorted({0, *dims}))
        return self.settled[call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls of torch's functions; those in the table below are answered here."""
        kwargs = kwargs or {}
        done = _ANSWERS[func](self, *args, **kwargs) if func in _ANSWERS else NotImplemented
        return func(*args, **kwargs) if done is NotImplemented else done


def _normalised(moments: Moments, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps), then the affine map per channel."""
    scale = (moments.variance() + eps).rsqrt()
    shift = -moments.mean() * scale
    if weight is not None:
        scale, shift = scale * weight.double()[:, None, None], shift * weight.double()[:, None, None]
    if bias is not None:
        shift = shift + bias.double()[:, None, None]
    kept = x if x.dtype == torch.float64 else x.float()
    return torch.addcmul(shift.to(kept.dtype), kept, scale.to(kept.dtype)).to(x.dtype)


def _instance_norm(
    s: Statistics, input: Tensor, running_mean: Any = None, running_var: Any = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if not use_input_stats or input.dim() != 4:
        return NotImplemented
    return _normalised(s.moments(input, (2, 3)), input, weight, bias, eps)


def _batch_norm(
    s: Statistics, input: Tensor, running_mean: Any, running_var: Any, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if not training or input.dim() != 4:
        return NotImplemented
    return _normalised(s.moments(input, (0, 2, 3)), input, weight, bias, eps)


def _group_norm(
    s: Statistics, input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:  # fmt: skip
    if input.dim() != 4:
        return NotImplemented
    grouped = input.view(len(input), num_groups, -1, *input.shape[2:])
    y = _normalised(s.moments(grouped, (2, 3, 4)), grouped, None, None, eps).flatten(1, 2)
    y = y if weight is None else y * weight[:, None, None]
    return y if bias is None else y + bias[:, None, None]


def _average_pool(s: Statistics, input: Tensor, output_size: Any) -> Any:
    if output_size not in (1, (1, 1), [1, 1]) or input.dim() != 4:
        return NotImplemented
    return s.moments(input, (2, 3)).mean().to(input.dtype)


def _dropout(s: Statistics, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if not training or p == 0:
        return NotImplemented
    raise UsageError("dropout in use draws for every pixel anew, so that tiles do not fit together", fix=WITHOUT)


def _draw(draw: Callable[..., Tensor]) -> Callable[..., Any]:
    """Random numbers: a code is as good in every tile, what has places is not."""

    def answer(s: Statistics, *args: Any, **kwargs: Any) -> Tensor:
        drawn = draw(*args, **kwargs)
        if drawn.dim() == 4 and drawn.shape[2:] != (1, 1):
            raise UsageError("noise is drawn for every pixel, so that tiles do not fit together", fix=WITHOUT)
        return drawn

    return answer


def _reduction(*wanted: str) -> Callable[..., Any]:
    """std, var, mean of features over height and width, and maybe channels."""

    def answer(
        s: Statistics, input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: float | None = None, dtype: Any = None, axis: Any = None,
    ) -> Any:  # fmt: skip
        dim = axis if dim is None else dim
        dims = sorted(d % input.dim() for d in (dim if isinstance(dim, Sequence) else [dim])) if dim is not None else []
        if input.dim() != 4 or not {2, 3} <= set(dims):
            return NotImplemented
        moments = s.moments(input, dims)
        variance = moments.variance(float(unbiased) if correction is None else correction)
        values = {"mean": moments.mean(), "var": variance, "std": variance.sqrt()}
        kept = [values[name].to(dtype or input.dtype) for name in wanted]
        found = tuple(value if keepdim else value.squeeze(dims) for value in kept)
        return found if len(found) > 1 else found[0]

    return answer


def _mean(s: Statistics, input: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    return _reduction("mean")(s, input, dim, True, keepdim, **options)


_ANSWERS: dict[Callable[..., Any], Callable[..., Any]] = {
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
    F.group_norm: _group_norm,
    F.adaptive_avg_pool2d: _average_pool,
    F.dropout: _dropout,
    torch.std_mean: _reduction("std", "mean"),
    torch.var_mean: _reduction("var", "mean"),
    torch.std: _reduction("std"),
    Tensor.std: _reduction("std"),
    torch.var: _reduction("var"),
    Tensor.var: _reduction("var"),
    torch.mean: _mean,
    Tensor.mean: _mean,
    **{draw: _draw(draw) for draw in (torch.randn, torch.rand, torch.randn_like, torch.rand_like)},
}
