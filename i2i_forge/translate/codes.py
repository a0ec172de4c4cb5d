"""The codes that are asked for by number, by reference or by interpolation, and an image's translations with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from i2i_forge.errors import UsageError
from i2i_forge.recipe.schema import MOST_STYLES
from i2i_forge.system.seeding import generator
from i2i_forge.translate.pictures import tensor_of

if TYPE_CHECKING:
    from i2i_forge.translate.translator import Translator

LARGE = 2**23  # pixels, 8.4 million: larger images are translated in tiles if nobody says otherwise
TILE = 1024  # pixels


def codes_for(
    translator: Translator, route: str, styles: int = 1, reference: Any = None, interpolate: int = 0, seed: int = 0
) -> Tensor | None:
    """The codes to decode, K,dim; None for a deterministic method.

    Args:
        styles: how many random ones.
        reference: an image of the target domain (see `pictures.tensor_of`) whose code is taken instead.
        interpolate: this many steps from one random code to another (or from the first to the reference's).
        seed: of the random ones.

    Raises:
        UsageError: the method has no codes, or cannot take them from a reference.
    """
    if not 1 <= styles <= MOST_STYLES or interpolate > MOST_STYLES:
        raise UsageError(f"{max(styles, interpolate):,} styles of one input", fix=f"ask for 1 to {MOST_STYLES:,}")
    trainer, latent = translator.trainer, translator.latent(route)
    method = type(trainer).__name__
    if latent is None:
        if reference is not None or interpolate or styles > 1:
            raise UsageError(
                f"{method} is deterministic: it has one translation for an image"
                + (f" along '{route}'" if trainer.latents else ""),
                fix="leave out --styles, --reference and --interpolate",
            )
        return None
    guide = None
    if reference is not None:
        if (encodes := trainer.latents[latent]) is None:
            raise UsageError(f"{method} cannot take a style from a reference image", fix="leave out --reference")
        guide = translator.encode(tensor_of(reference), encodes, trainer.routes[route][1])
    draws = (generator(seed, "styles", number) for number in range(max(styles, 2)))  # a style whatever their number
    random = torch.cat([translator.draw(route, draw) for draw in draws])
    if interpolate:
        first, last = random[:1], guide if guide is not None else random[1:2]
        return torch.cat([torch.lerp(first, last, i / max(interpolate - 1, 1)) for i in range(interpolate)])
    return guide if guide is not None else random[:styles]


def translated(
    translator: Translator, x: Tensor, route: str, codes: Tensor | None, batch: int | None = None,
    tile: int | None = None, *, exact: bool = True,
) -> Iterator[Tensor]:  # fmt: skip
    """The translations of 1,3,H,W, one for each code: 3,H,W; see `translate_files` for the other arguments."""
    side = _automatic(translator, x, route) if tile is None else tile
    if not side:
        yield from translator.translations(x, route, codes, batch=batch)
        return
    for code in [None] if codes is None else torch.split(codes, 1):
        given: dict[str, Any] = {} if code is None else {str(translator.latent(route)): code}
        yield translator.translate_in_tiles(x, route, tile=side, exact=exact, **given)[0]


def _automatic(translator: Translator, x: Tensor, route: str) -> int:
    if x.shape[-2] * x.shape[-1] <= LARGE:
        return 0
    try:
        _ = translator.tiling(route).halo
    except UsageError:  # as a whole, if memory allows
        return 0
    return TILE
