"""Which sides of images networks take, found by trying; and why they do not take those of a recipe."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from torch import nn

from i2i_forge.errors import ForgeError, RecipeError, UsageError

LARGEST = 2048  # pixels: networks that do not run at this size fail for another reason


def common_stride(networks: Iterable[nn.Module]) -> int:
    """What the sides of images for all these networks are multiples of, by their attributes `stride`."""
    strides = (getattr(network, "stride", 1) for network in networks)
    return math.lcm(*(stride for stride in strides if isinstance(stride, int)))


def shortest_side(run: Callable[[int], object], stride: int, least: int = 1) -> int | None:
    """The shortest multiple of `stride`, from `least` on, that works, found as if all above it did.

    Args:
        run: does something with images of a side, and raises what it raises.
        stride: pixels.
        least: pixels; the shortest multiple is tried even where it is beyond LARGEST.

    Returns:
        Pixels; None when none of those that were tried works.
    """
    first = math.ceil(least / stride)
    fails, works = first - 1, first
    while not _works(works * stride, run):
        fails, works = works, 2 * works - first + 1
        if works * stride > LARGEST:
            return None
    while works - fails > 1:
        middle = (fails + works) // 2
        fails, works = (fails, middle) if _works(middle * stride, run) else (middle, works)
    return works * stride


@contextmanager
def sizes_watched(without_data: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Around a step; when it fails and the same without data does so too, what is wrong with sizes is said instead.

    Args:
        without_data: takes the step on tensors without data.
        arguments: for it.
    """
    try:
        yield
    except (RuntimeError, ValueError, UsageError) as error:
        try:
            without_data(*arguments)
        except ForgeError as problem:
            raise problem from error
        except Exception as unknown:
            raise error from unknown
        raise


def size_problem(
    error: Exception, networks: Mapping[str, nn.Module], size: int | list[int], run: Callable[[int], object]
) -> RecipeError | None:
    """What an error on images of a size means for the recipe; None if it is no error of shapes within a network.

    Args:
        error: of torch or of a network.
        networks: by name, as "decoder.a".
        size: of the images, as the recipe has it.
        run: does the same on images of another side, and raises what it raises.
    """
    if not isinstance(error, RuntimeError | ValueError | ArithmeticError | UsageError) or "meta" in str(error):
        return None  # the other: what needs values has none on the device "meta"
    role = _failing(error, networks).partition(".")[0]
    where, cause = f"networks.{role}" if role else "the networks", str(error).partition("\n")[0]
    stride = common_stride(networks.values())
    height, width = size if isinstance(size, list) else (size, size)
    if (side := shortest_side(run, stride, min(height, width))) is not None:
        multiples = f"sides are multiples of {stride}; " if stride > 1 else ""
        return RecipeError(
            f"data.size: {where} cannot take images of {height}x{width}: {cause}",
            fix=f"{multiples}the next that works is --set data.size={side}",
        )
    if not role or isinstance(error, UsageError):  # which says itself what to do
        return None
    return RecipeError(f"{where}: {cause}", fix="change what does not fit in the networks' options, or data.size")


def _failing(error: Exception, networks: Mapping[str, nn.Module]) -> str:
    """The innermost network within which an error was raised; empty for none."""
    names = {id(network): name for name, network in networks.items()}
    selves = [id(frame.f_locals.get("self")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((names[one] for one in reversed(selves) if one in names), "")


def _works(side: int, run: Callable[[int], object]) -> bool:
    with suppress(Exception):  # layers of torch raise errors of several kinds
        run(side)
        return True
    return False
