"""Translating measured images and volumes: files of the source's kind, with its geometry, and translation.json.

A volume is translated slice by slice and written when it is complete.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.case_ranges import case_space
from i2i_forge.data.case_source import further
from i2i_forge.data.cases import Case
from i2i_forge.data.decode import decode
from i2i_forge.data.domains import Domains
from i2i_forge.data.images import save_png, sheet
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stream import spread
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import DataError, UsageError
from i2i_forge.system.files import warn
from i2i_forge.translate.files import MARK, MOST_COLUMNS, ON_SHEET, numbered, shrunk, style_labels
from i2i_forge.translate.finding import cases_among, listed_cases
from i2i_forge.translate.stored import Target, Translation, Written
from i2i_forge.translate.translator import Translator

Skip = Callable[[DataError], None]


def translate_cases(
    translator: Translator, domains: Domains, inputs: Sequence[Path], out: Path, *, route: str = "ab", styles: int = 1,
    reference: Path | None = None, interpolate: int = 0, seed: int = 0, files: Mapping[str, list[str]] | None = None,
    manifest: Path | None = None, plane: Any = None, progress: Callable[[int, int], None] | None = None,
    skip: Skip | None = None, **options: Any,
) -> list[Path]:  # fmt: skip
    """Translate cases, and write each as a file like its first one, `translation.json`, and `sheet.png`.

    Args:
        domains: of the run's recipe, with the file formats.
        inputs: files, or folders in which the patterns of the run's `data.files` are looked for.
        out: the folder to write to: CASE.nii.gz, or CASE-00.nii.gz ... with styles.
        styles, interpolate, seed: see `translate_files`; of `reference`, a file, the middle slice counts.
        files: other patterns than the run's, image -> those of its stack.
        manifest: a table of cases in place of inputs, see `listed_cases`.
        plane: another than the run's.
        skip: is told of each case that cannot be used; without it that is an error.
        options: of `Translator.translations`: tile, exact, batch.

    Returns:
        The files, the sheet last.

    Raises:
        UsageError: an input, or a file that no translation wrote, would be replaced; nothing is written then.
        DataError: files cannot be used.
    """
    plane = plane if plane is not None else _own_plane(translator)
    source, entered = translator.trainer.routes[route]
    wanted = {source, *_wanted(translator, domains, route)}
    cases = _asked(translator, domains, inputs, source, wanted, files or {}, manifest)
    guide = None if reference is None else _middle(reference, entered, domains, plane)
    codes = translator.codes(route, styles, guide, interpolate, seed)
    work = _Work(translator, domains, route, plane, codes, options)
    written = Written(out, work.about())
    ends, targets = [""] if codes is None else numbered(len(codes)), dict[str, Target]()
    for case in cases:
        with _skipping(skip):
            target = targets[case.name] = work.target(case)
            names = [[f"{case.name}{end}{name}{target.ending}" for name in target.names] for end in ends]
            written.planned[case.name] = [[out / name for name in each] for each in names]
    written.refuse_others(cases, domains.files)
    rows, on_sheet = list[list[Tensor]](), set(spread(ON_SHEET, len(cases)))
    try:
        for number, case in enumerate(cases):
            with _skipping(skip):
                if case.name in targets:
                    made, row, facts = work.translate(case, targets[case.name])
                    written.write(case, made, facts)
                    rows += [row] if number in on_sheet or not rows else []
            if progress:
                progress(number + 1, len(cases))
    finally:  # also of what was written before an error: a later translation may replace it
        written.remember()
    if not written.cases:
        raise DataError(f"none of the {len(cases)} cases can be used", fix="see the warnings above")
    labels = [label + domains[entered].shown_as() for label in style_labels(codes, reference, interpolate)]
    save_png(sheet(rows, [f"input{domains[source].shown_as()}", *labels]), out / "sheet.png", MARK)
    return [*written.files, out / "sheet.png"]


@contextmanager
def _skipping(skip: Skip | None) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        if skip is None:
            raise
        skip(error)


def _asked(
    translator: Translator, domains: Domains, inputs: Sequence[Path], source: str, wanted: set[str],
    files: Mapping[str, list[str]], manifest: Path | None,
) -> list[Case]:  # fmt: skip
    """The cases, with the images that are wanted."""
    if unknown := files.keys() - wanted:
        raise UsageError(
            f"--files {min(unknown)}: this translation reads {', '.join(sorted(wanted))} alone", fix="leave it out"
        )
    if manifest is not None:
        return listed_cases(manifest, source, wanted, domains)
    said = {**(translator.recipe.data.options.get("files") or {}), **files}
    patterns = {name: [p] if isinstance(p, str) else p for name, p in said.items() if name in wanted}
    return cases_among(inputs, source, patterns, domains)


def _own_plane(translator: Translator) -> Any:
    """Across which axis the run's volumes were cut."""
    return (translator.recipe.data.options.get("slices") or {}).get("plane", "axial")


def _wanted(translator: Translator, domains: Domains, route: str) -> set[str]:
    """The further images that translating along a route makes use of; the truth is none of them."""
    left, entered = (domains[name] for name in translator.trainer.routes[route])
    within = {said.within for said in left.percentiles() if said} - {"all", "nonzero"}
    return {*translator.further(route), *within, *entered.domain.write.outside}


class _Work:
    """How cases are translated.

    Args:
        codes: K,dim; None for one translation of each.
        options: of `Translator.translations`.
    """

    def __init__(
        self, translator: Translator, domains: Domains, route: str, plane: Any, codes: Tensor | None,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.translator, self.domains, self.route, self.plane = translator, domains, route, plane
        self.codes, self.options = codes, options
        self.source, self.entered = translator.trainer.routes[route]
        reads = translator.further(route)
        self.valid = f"valid_{self.source}"  # which no file holds
        self.further, self.reads_valid = [name for name in reads if name != self.valid], self.valid in reads
        self._said = set[str]()

    def about(self) -> dict[str, Any]:
        """What all its translations have in common."""
        translator, own = self.translator, _own_plane(self.translator)
        return {
            "made_by": f"{MARK} {importlib.metadata.version('i2i-forge')}", "recipe": translator.recipe.name,
            "step": translator.step, "weights_sha256": translator.weights_sha256, "route": self.route,
            "plane": self.plane,
            **({"deviation": f"cut across {self.plane} planes; it was trained on {own} ones"}
               if str(self.plane) != str(own) else {}),
            "spaces": {name: self.domains[name].data() for name in translator.trainer.routes[self.route]},
        }  # fmt: skip

    def target(self, case: Case) -> Target:
        """What its translations are written as. Raises DataError where an image that is read is missing."""
        for name in self.further:
            if name not in case.files:
                raise DataError(
                    f"case {case.name}: translate needs `{name}`: the translation of this method reads it",
                    fix=f"give a folder of cases, and say how it is named: --files '{name}={{case}}/{name}.nii.gz'",
                )
        stack, known = case.files[self.source], self.domains.files
        left = self.domains[self.source].parts(len(stack))[0]
        return Target(self.domains[self.entered], known.open(stack[0]), left, self.plane, known)

    def translate(self, case: Case, target: Target) -> tuple[list[Translation], list[Tensor], dict[str, Any]]:
        """A translation for each code; its middle slice and those of the translations; and what there is to say."""
        files = CaseFiles([case], list(case.files), self.domains, self.plane, "none")
        spaces = {name: case_space(files, 0, name) for name in (self.source, *self.further)}
        outside = [name for name in target.space.domain.write.outside if name in files.names]
        made = [Translation(target) for _ in range(1 if self.codes is None else len(self.codes))]
        row: list[Tensor] = []
        for place in range(files.counts[0]):
            is_middle = place == files.counts[0] // 2
            x, valid = _image(files, self.source, spaces[self.source], place)
            beside = {name: _image(files, name, spaces[name], place)[0][None] for name in self.further}
            if self.reads_valid:
                beside[self.valid] = torch.from_numpy(valid[None].astype(np.uint8))[None]
            blanked = np.zeros_like(valid)
            for name in outside:
                blanked |= files.quantity(0, name, place)[0] <= 0
            row += [shrunk(spaces[self.source].to_rgb(x))] if is_middle else []
            images = self.translator.translations(x[None], self.route, self.codes, beside=beside, **self.options)
            for translation, image in zip(made, (each.cpu() for each in images), strict=True):
                if not torch.isfinite(image).all():
                    raise DataError(
                        f"the translation is not finite in slice {place + 1} of case {case.name}",
                        fix="translate with an earlier checkpoint, or train with a lower rate",
                    )
                translation.put(place, image, valid, blanked)
                if is_middle and len(row) <= MOST_COLUMNS:
                    black = torch.from_numpy(~valid | blanked)
                    row.append(shrunk(target.space.to_rgb(image.masked_fill(black, -1))))
        self._tell(case, target, made[0], outside)
        return made, row, {"source": spaces[self.source].data(), "blanked_outside": outside}

    def _tell(self, case: Case, target: Target, made: Translation, outside: Sequence[str]) -> None:
        """Warn once of what a user may not expect."""
        if lacking := [name for name in target.space.domain.write.outside if name not in outside]:
            self._warn("outside", f"case {case.name} has no `{lacking[0]}`: nothing is blanked outside of it")
        if made.nodata and not target.header.nodata and not target.is_float:
            fill = ", ".join(map(str, target.fill.ravel().tolist()))
            self._warn("nodata", f"case {case.name}: pixels without value are written as {fill}, which no reader tells "
                       f"from a value: say domains.{self.entered}.nodata, a code of {target.dtype}")  # fmt: skip

    def _warn(self, what: str, said: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warn(said)


def _image(files: CaseFiles, name: str, space: ImageSpace, place: int) -> tuple[Tensor, NDArray[np.bool_]]:
    """One slice of the first case, C,H,W as networks get it, and where it has values."""
    if space.is_rgb8:
        x = to_tensor(decode(files.cases[0].files[name][0]))
        return x, np.ones(x.shape[1:], bool)
    quantity, valid, _ = space.filled(files.quantity(0, name, place))
    is_translated = name in files.domains.translated
    return space.to_tensor(quantity) if is_translated else further(space, quantity, name), valid


def _middle(path: Path, name: str, domains: Domains, plane: Any) -> Tensor:
    """The middle slice of a file: C,H,W in [-1, 1]."""
    files = CaseFiles([Case(path.name, path.name, {name: (path,)})], [name], domains, plane, "none")
    return _image(files, name, case_space(files, 0, name), files.counts[0] // 2)[0]
