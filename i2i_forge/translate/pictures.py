"""Images as people have them: the names of files, PIL images, arrays and tensors in; PIL images and PNG files out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i_forge.data.decode import decode, upright_rgb
from i2i_forge.data.images import save_png, sheet, to_pil
from i2i_forge.data.path_list import Lazy
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import UsageError

REACH = 2  # values up to here count as overshoot of [-1, 1]: what was 0 to 255 is beyond it


class Translations(Lazy[Image.Image]):
    """The translations of one image: `found[0]` is a PIL image, and `found.save("shoe.png")` writes them.

    Measured images are shown as their domain says; their values are `found.space.to_values(found.tensor)`.

    Attributes:
        tensor: K,C,H,W in [-1, 1], on the CPU.
        space: what the channels are.
    """

    def __init__(self, tensor: Tensor, space: ImageSpace = RGB8) -> None:
        super().__init__(len(tensor), lambda place: to_pil(space.to_rgb(tensor[place])))
        self.tensor, self.space = tensor, space

    def __repr__(self) -> str:
        count, _, height, width = self.tensor.shape
        return f"<{count} translation{'s' * (count > 1)} of an image of {width}x{height} pixels>"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        picture = sheet([list(self.space.to_rgb(self.tensor))], [str(number) for number in range(len(self))])
        picture.save(content := io.BytesIO(), format="PNG")
        return content.getvalue()

    def save(self, file: str | Path) -> list[Path]:
        """Write one translation to FILE.png, several to FILE-00.png, FILE-01.png ...; returns what was written.

        Raises:
            UsageError: the name does not end in .png, or the folder cannot be written.
        """
        file = Path(file)
        if file.suffix.lower() != ".png":
            raise UsageError(f"{file}: translations are saved as .png", fix="for others: found[0].save(...)")
        names = [file] if len(self) == 1 else [file.with_stem(f"{file.stem}-{k:02d}") for k in range(len(self))]
        for image, name in zip(self.space.to_rgb(self.tensor), names, strict=True):
            save_png(image, name)
        return names


def tensors_of(given: Any, space: ImageSpace = RGB8) -> list[Tensor] | Tensor:
    """Images as tensors.

    Args:
        given: one image as `tensor_of` takes it, or several: a list of such, an array N,H,W,3, a tensor N,C,H,W.
        space: what they are.

    Returns:
        1,C,H,W in [-1, 1]; a list of such when several were given.

    Raises:
        UsageError: something else was given; DataError: a file is no image that can be used.
    """
    if isinstance(given, Tensor) and given.ndim == 4:
        return list(torch.split(checked(_as_float(given), space), 1))
    several = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 4)
    return [tensor_of(one, space) for one in given] if several else tensor_of(given, space)


def tensor_of(given: Any, space: ImageSpace = RGB8) -> Tensor:
    """An image as a tensor.

    Args:
        given: a file's name, a PIL image, a uint8 array H,W,3 (or H,W, or H,W,4), or a tensor C,H,W (or 1,C,H,W)
            in [-1, 1] or, of 8-bit RGB, of uint8; of measured images only the latter.
        space: what it is.

    Returns:
        1,C,H,W in [-1, 1].
    """
    if not space.is_rgb8 and not isinstance(given, Tensor):
        raise UsageError(
            f"{type(given).__name__} given for an image of {space}",
            fix="give a tensor C,H,W in [-1, 1]: space.to_tensor(values)[None], or use `forge translate` for files",
        )
    match given:
        case str() | Path():
            return to_tensor(decode(given))[None]
        case Image.Image():
            return to_tensor(upright_rgb(given, "the image"))[None]
        case np.ndarray():
            return to_tensor(_from_array(given))[None]
        case Tensor():
            x = given[0] if given.ndim == 4 and len(given) == 1 else given
            return checked(_as_float(x), space, alone=True)[None]
    raise UsageError(
        f"{type(given).__name__} is no image", fix="give a file's name, a PIL image, a uint8 array H,W,3 or a tensor"
    )


def checked(x: Tensor, space: ImageSpace = RGB8, *, alone: bool = False) -> Tensor:
    """N,C,H,W (C,H,W of an image alone) in [-1, 1], as it is.

    Raises:
        UsageError: its shape or its values are others; it says what makes them so.
    """
    if x.ndim != 4 - alone or x.shape[-3] != len(space):
        fitting = f"{len(space)},H,W" if alone else f"N,{len(space)},H,W"
        if not space.is_rgb8:
            raise UsageError(f"images are {fitting}: {space}; these are {tuple(x.shape)}", fix="give these channels")
        raise UsageError(f"images are {fitting}, these are {tuple(x.shape)}", fix=_advice(x.shape, alone))
    if not x.is_floating_point() or not (x.abs() <= REACH).all():  # not NaN either
        raise UsageError("the values of images are from -1 to 1, these are not", fix="if 0 to 255: x / 127.5 - 1")
    return x


def _advice(shape: Sequence[int], alone: bool) -> str:
    if alone and len(shape) == 4:
        return "give one image: x[0]"
    three = {"H,W,3": "x.permute(2, 0, 1)", "1,H,W": "x.expand(3, -1, -1)", "3,H,W": "x"}
    four = {"H,W,3": "x.permute(0, 3, 1, 2)", "1,H,W": "x.expand(-1, 3, -1, -1)"}
    kind = "H,W,3" if shape[-1:] == (3,) else f"{shape[-3]},H,W" if len(shape) in (3, 4) else ""
    way = {3: three, 4: four}.get(len(shape), {}).get(kind)
    if way is None:
        return 'give images of three channels, or the name of a file: translator("photo.jpg")'
    return way if alone or len(shape) == 4 else f"add the batch axis: {way}[None]"


def _as_float(x: Tensor) -> Tensor:
    """uint8 in [-1, 1]; others as they are."""
    return x / 127.5 - 1 if x.dtype == torch.uint8 else x


def _from_array(given: np.ndarray[Any, Any]) -> Image.Image:
    fits = given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (3, 4))
    if given.dtype != np.uint8 or not fits:
        raise UsageError(
            f"arrays of images are uint8 H,W,3, this is {given.dtype} {given.shape}",
            fix="give values 0 to 255 as uint8 with the channels last, or a tensor 3,H,W in [-1, 1]",
        )
    return upright_rgb(Image.fromarray(given), "the array")
