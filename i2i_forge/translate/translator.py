"""Using a trained run: images of any size in, translations out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import UsageError
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.schema import MOST_STYLES
from i2i_forge.system.seeding import generator as seeded
from i2i_forge.translate.inputs import Fitted, Inputs
from i2i_forge.translate.pictures import Translations, tensor_of, tensors_of
from i2i_forge.translate.sides import Beside, Sides
from i2i_forge.translate.tiles import TILE, Tiling
from i2i_forge.translate.varying import unvaried

CODE_SIDE = 64  # pixels: codes are drawn as for an image of this size, so that one code serves images of all sizes


class Translator:
    """A trainer for inference. Called with pictures it gives pictures; `translate` and `encode` are for tensors.

    Images of any size are taken. Where the networks take no such size, an image is continued at its border to the next
    one that they take, and the translation is cut out again; otherwise it is what the trainer itself gives.
    Measured images are translated in fp32, whatever the precision of the training: bf16 has steps of 8 HU.

    Attributes:
        trainer: the networks, in eval mode when used.
        recipe: what they were trained with.
        step: how many steps they were trained for.
        weights_sha256: what identifies the checkpoint's weights; "" when they are from elsewhere.
        edited: what differs between the recipe and the one that the weights were trained with; "" when nothing does.
    """

    def __init__(self, trainer: Trainer, recipe: Recipe, step: int, weights_sha256: str = "", edited: str = "") -> None:
        are_rgb8 = all(trainer.spaces[name].is_rgb8 for name in trainer.image_domains())
        self.trainer = trainer if are_rgb8 else trainer.alike(precision="fp32")
        self.recipe, self.step, self.weights_sha256, self.edited = recipe, step, weights_sha256, edited
        self._inputs = Inputs(self.trainer, recipe.name)
        self._shared: dict[str, list[str]] = {}  # route -> tensors that no code changes
        self._tilings: dict[str, Tiling] = {}

    def __repr__(self) -> str:
        size = self.recipe.data.options.get("size", "unknown")
        routes = ", ".join(f"{route} ({self.latent(route) or 'deterministic'})" for route in self.trainer.routes)
        return f"<Translator {self.recipe.name}: {self.recipe.trainer}, {routes}, {self.step} steps at size {size}>"

    def __call__(
        self, images: Any, route: str = "ab", *, styles: int = 1, seed: int = 0, reference: Any = None
    ) -> Translations | list[Translations]:
        """Translate pictures; those that `forge translate` writes with the same seed.

        Args:
            images: the name of a file, a PIL image, a uint8 array H,W,3 or a tensor C,H,W in [-1, 1]; several in a
                list, as N,H,W,3 or as N,C,H,W.
            route: the direction.
            styles: how many random styles; the same ones for every image.
            seed: of the random styles.
            reference: an image of the target domain whose style is used instead.

        Returns:
            The translations of the image; of several images a list.
        """
        codes = self.codes(route, styles, reference, seed=seed)
        found = tensors_of(images, self.trainer.ends(route)[0])
        several = [
            Translations(
                torch.stack([y.cpu() for y in self.translations(x, route, codes, tile=None)]),
                self.trainer.ends(route)[1],
            )
            for x in (found if isinstance(found, list) else [found])
        ]
        return several if isinstance(found, list) else several[0]

    def latent(self, route: str) -> str | None:
        """The tensor that makes one translation differ from another; None when the route is deterministic."""
        if route not in self.trainer.routes:
            routes = ", ".join(self.trainer.routes)
            raise UsageError(f"there is no route '{route}'", fix=f"choose one of: {routes}")
        return next(iter(self.trainer.latents_of(route)), None)

    def translate(
        self, x: Tensor, route: str = "ab", *, beside: Beside | None = None,
        generator: torch.Generator | None = None, **given: Tensor,
    ) -> Tensor:  # fmt: skip
        """Translate images of any size.

        Args:
            x: N,C,H,W in [-1, 1]. With N = 1 a given code may have K rows: one content, K translations.
            route: the direction.
            beside: the `further` images of the same examples, by name: masks N,1,H,W of uint8.
            generator: where draws that are not given come from.
            given: tensors of the pass by name, e.g. `random_style=s` with s: N,dim.

        Returns:
            N,C,H,W (K,C,H,W) in [-1, 1], the size of x.
        """
        images, cut = self._inputs.along(route, x, beside)
        return cut(self.trainer.infer("translation", images, route, generator=generator, **given))

    def translations(
        self, x: Tensor, route: str = "ab", codes: Tensor | None = None, *, batch: int | None = None,
        tile: int | None = 0, exact: bool = True, beside: Beside | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """The translations of one image with each code. What no code changes is computed once, such as its content.

        Args:
            x: 1,C,H,W in [-1, 1], of any size.
            route: the direction.
            codes: K,dim; None for a deterministic route, which has one translation.
            batch: codes at once, at most; fewer where that is faster: one on a processor, whose cache a batch would
                fall out of, elsewhere as many as fill eight images of 256x256.
            tile: pixels that a side of a tile has, 0 for none; None: tiles where the image is LARGE and can be cut.
            exact: of tiles, see `translate_in_tiles`.
            beside: see `translate`.

        Yields:
            K times C,H,W in [-1, 1], the size of x.
        """
        latent = self.latent(route)
        if side := self.tiling(route).side_for(x) if tile is None else tile:
            for code in [None] if codes is None else torch.split(codes, 1):
                given: dict[str, Any] = {} if code is None else {str(latent): code}
                yield self.translate_in_tiles(x, route, tile=side, exact=exact, beside=beside, **given)[0]
            return
        if latent is None or codes is None:
            yield self.translate(x, route, beside=beside)[0]
            return
        images, cut = self._inputs.along(route, x, beside)
        pixels = images[self.trainer.routes[route][0]][0, 0].numel()
        fastest = 1 if self.trainer.device.type == "cpu" else max(1, 8 * 256**2 // pixels)
        parts = torch.split(codes, min(batch or fastest, fastest))
        if route not in self._shared and len(parts) > 1:
            self._shared[route] = unvaried(self.trainer, images, route, {latent: parts[0]})
        shared = self._shared[route] if len(parts) > 1 else []
        given = {name: self.trainer.infer(name, images, route) for name in shared}
        for some in parts:
            yield from cut(self.trainer.infer("translation", images, route, **given | {latent: some}))

    def translate_in_tiles(
        self, x: Tensor, route: str = "ab", *, tile: int = TILE, exact: bool = True,
        beside: Beside | None = None, generator: torch.Generator | None = None, **given: Tensor,
    ) -> Tensor:  # fmt: skip
        """Translate images too large for the memory: with that of one tile and its halo, and without seams.

        Args:
            x: N,C,H,W in [-1, 1], of any size.
            route: the direction.
            tile: pixels that a side of a tile has.
            exact: whether the networks' statistics are those of the whole image, so that the translation is that of
                `translate` up to rounding. It takes about half as many times as long as the networks have norms.
                Otherwise they are those of a sample as large as a tile: other tones and details, no seams either.
            beside, generator: see `translate`.
            given: codes by name, 1,dim or N,dim.

        Returns:
            N,C,H,W in [-1, 1], the size of x.

        Raises:
            UsageError: a pixel depends on others too far away for tiles, as in a U-Net, or what is given has places.
        """
        images, cut = self._inputs.along(route, x, beside)
        fitting = images.pop(self.trainer.routes[route][0])
        probe = self._inputs.probe(route, fitting[:, :, :CODE_SIDE, :CODE_SIDE]) if self.latent(route) else {}
        for name in (name for name in self.trainer.latents_of(route) if name not in given):
            given[name] = self.trainer.infer(name, probe, route, generator=generator)
        tiled = [
            self.tiling(route).translate(
                image[None], tile, exact=exact, beside={n: v[i : i + 1] for n, v in images.items()},
                **{n: v[i : i + 1] if len(v) == len(x) else v for n, v in given.items()},
            )
            for i, image in enumerate(fitting)
        ]  # fmt: skip
        return cut(torch.cat(tiled))

    def fitted(self, images: dict[str, Tensor], route: str) -> Fitted:
        """Images of one size by name, continued at their border to sides that the networks take, and what cuts that
        size out of a translation again."""
        return self._inputs.fitted(images, self.sides(route))

    def tiling(self, route: str) -> Tiling:
        """How images are cut into tiles; its `halo` says how far the networks reach, or that there are no tiles."""
        self.latent(route)  # which says so when there is no such route
        if route not in self._tilings:
            self._tilings[route] = Tiling(self.trainer, route, self.sides(route).stride)
        return self._tilings[route]

    def encode(self, x: Tensor, what: str, domain: str) -> Tensor:
        """A code of images of any size: `encode(x, "style", "b")` -> N,dim."""
        return self.trainer.encode(self._inputs.to_encode(x, what, domain), what, domain)

    def codes(
        self, route: str = "ab", styles: int = 1, reference: Any = None, interpolate: int = 0, seed: int = 0
    ) -> Tensor | None:
        """The codes to decode, K,dim; None for a deterministic method.

        Args:
            route: the direction.
            styles: how many random ones.
            reference: an image of the target domain (see `pictures.tensor_of`) whose code is taken instead.
            interpolate: this many steps from one random code to another (or from the first to the reference's).
            seed: of the random ones.

        Raises:
            UsageError: the method has no codes, or cannot take them from a reference.
        """
        if not 1 <= styles <= MOST_STYLES or interpolate > MOST_STYLES:
            raise UsageError(f"{max(styles, interpolate):,} styles of one input", fix=f"ask for 1 to {MOST_STYLES:,}")
        latent, method, guide = self.latent(route), type(self.trainer).__name__, None
        if latent is None:
            if reference is not None or interpolate or styles > 1:
                along = f" along '{route}'" if self.trainer.latents else ""
                raise UsageError(
                    f"{method} is deterministic: it has one translation for an image{along}",
                    fix="leave out --styles, --reference and --interpolate",
                )
            return None
        if reference is not None:
            if (encodes := self.trainer.latents[latent]) is None:
                raise UsageError(f"{method} cannot take a style from a reference image", fix="leave out --reference")
            guide = self.encode(
                tensor_of(reference, self.trainer.ends(route)[1]), encodes, self.trainer.routes[route][1]
            )
        draws = (seeded(seed, "styles", number) for number in range(max(styles, 2)))  # a style whatever their number
        random = torch.cat([self.draw(route, draw) for draw in draws])
        if interpolate:
            first, last = random[:1], guide if guide is not None else random[1:2]
            return torch.cat([torch.lerp(first, last, i / max(interpolate - 1, 1)) for i in range(interpolate)])
        return guide if guide is not None else random[:styles]

    def draw(self, route: str, generator: torch.Generator) -> Tensor:
        """A random code of a route that has codes, 1,dim; where codes have places, those of an image of 64x64."""
        batch = self._inputs.probe(route, torch.zeros(1, len(self.trainer.ends(route)[0]), CODE_SIDE, CODE_SIDE))
        return self.trainer.infer(str(self.latent(route)), batch, route, generator=generator)

    def sides(self, route: str) -> Sides:
        """Which sides of images the networks of a route take."""
        return self._inputs.sides(route)

    def further(self, route: str = "ab") -> list[str]:
        """The further images that a translation along a route reads, such as a mask; no other is asked for."""
        self.latent(route)  # which says so when there is no such route
        return self._inputs.further(route)
