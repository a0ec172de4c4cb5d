"""Translating measured images and volumes: files of the source's kind, with its geometry, and translation.json.

A volume is translated slice by slice and written when it is complete. What is written, of which run and what it was
made of, translation.json says; a later translation may replace the files that it names, and no other.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.case_ranges import case_space
from i2i_forge.data.cases import Case, cases_among
from i2i_forge.data.decode import decode
from i2i_forge.data.domains import Domains
from i2i_forge.data.images import save_png, sheet
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stream import spread
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import DataError, disk_error
from i2i_forge.system.files import read_record, write_whole
from i2i_forge.system.outputs import marked, refuse_to_replace
from i2i_forge.translate.files import MARK, ON_SHEET, shrunk
from i2i_forge.translate.stored import Target
from i2i_forge.translate.translator import Translator

RECORD = "translation.json"
AT_ONCE = 8  # slices
Skip = Callable[[DataError], None]


def translate_cases(
    translator: Translator, domains: Domains, inputs: Sequence[Path], out: Path, *, route: str = "ab", styles: int = 1,
    reference: Path | None = None, interpolate: int = 0, seed: int = 0, files: Mapping[str, list[str]] | None = None,
    plane: Any = None, progress: Callable[[int, int], None] | None = None, skip: Skip | None = None, **options: Any,
) -> list[Path]:  # fmt: skip
    """Translate cases, and write each as a file like its first one, `translation.json`, and `sheet.png`.

    Args:
        domains: of the run's recipe, with the file formats.
        inputs: files, or folders in which the patterns of the run's `data.files` are looked for.
        out: the folder to write to: CASE.nii.gz, or CASE-00.nii.gz ... with styles.
        styles, interpolate, seed: see `translate_files`; `reference` is a file of the target domain, whose middle slice
            counts.
        files: other patterns than the run's, image -> those of its stack.
        plane: another than the run's.
        skip: is told of each case that cannot be used; without it that is an error.
        options: of `Translator.translations`: tile, exact, batch.

    Returns:
        The files, the sheet last.

    Raises:
        UsageError: an input, or a file that no translation wrote, would be replaced; nothing is written then.
        DataError: files cannot be used.
    """
    source, entered = translator.trainer.routes[route]
    said = translator.recipe.data.options
    patterns = files or {name: [p] if isinstance(p, str) else p for name, p in said.get("files", {}).items()}
    plane = plane if plane is not None else (said.get("slices") or {}).get("plane", "axial")
    cases = cases_among(inputs, source, patterns, domains)
    guide = None if reference is None else _middle(reference, entered, domains, plane)
    codes = translator.codes(route, styles, guide, interpolate, seed)
    ends = [""] if codes is None else [f"-{k:0{max(2, len(str(len(codes) - 1)))}d}" for k in range(len(codes))]
    written: dict[str, list[list[Path]]] = {}
    targets = {}
    for case in cases:
        stored = domains.files.open(case.files[source][0])
        target = targets[case.name] = Target(domains[entered], stored, domains[source], plane, domains.files)
        written[case.name] = [[out / f"{case.name}{e}{name}{target.ending}" for name in target.names] for e in ends]
    everything = [file for several in written.values() for each in several for file in each]
    earlier = {*read_record(out / RECORD).get("outputs", {})}
    read = [file for case in cases for stack in case.files.values() for file in stack]
    refuse_to_replace([*everything, out / RECORD], lambda file: file.name in {*earlier, RECORD} and bool(earlier), read)
    refuse_to_replace([out / "sheet.png"], marked(MARK), read)
    rows: list[list[Tensor]] = []
    record, on_sheet = dict[str, Any](), set(spread(ON_SHEET, len(cases)))
    for number, case in enumerate(cases):
        try:
            one = _Case(translator, domains, case, route, plane, codes, options)
            made = one.translate(targets[case.name])
        except DataError as error:
            if skip is None:
                raise
            skip(error)
            continue
        outputs = [each.write(to) for each, to in zip(made, written[case.name], strict=True)]
        record[case.name] = {
            "inputs": {str(file): _digest(file) for stack in case.files.values() for file in stack},
            "source": one.space.data(), "saturated": sum(m.saturated for m in made), "nodata": made[0].nodata,
            "outputs": {name: digest for each in outputs for name, digest in each.items()},
        }  # fmt: skip
        rows += [one.row] if number in on_sheet or not rows else []
        if progress:
            progress(number + 1, len(cases))
    if not record:
        raise DataError(f"none of the {len(cases)} cases can be used", fix="see the warnings above")
    _remember(translator, domains, route, plane, record, out)
    named = ["translation"] if codes is None else [f"style {number}" for number in range(len(ends))]
    labels = [f"input{domains[source].shown_as()}", *(name + domains[entered].shown_as() for name in named)]
    save_png(sheet(rows, labels[: len(rows[0])]), out / "sheet.png", MARK)
    return [*(file for name in record for each in written[name] for file in each), out / "sheet.png"]


class _Case:
    """One case on its way.

    Attributes:
        space: what its source images are, with the range of the case where each has its own.
        row: its middle slice and the translations of it, for the sheet.
    """

    def __init__(
        self, translator: Translator, domains: Domains, case: Case, route: str, plane: Any, codes: Tensor | None,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.translator, self.case, self.route, self.codes, self.options = translator, case, route, codes, options
        self.source, entered = translator.trainer.routes[route]
        self.target = domains[entered]
        self.files = CaseFiles([case], list(case.files), domains, plane, "none")
        self.space: ImageSpace = case_space(self.files, 0, self.source)
        self.row: list[Tensor] = []

    def translate(self, target: Target) -> list[Any]:
        """A translation for each code."""
        made = [target.begin() for _ in range(1 if self.codes is None else len(self.codes))]
        count = self.files.counts[0]
        outside = [name for name in self.target.domain.write.outside if name in self.files.names]
        for begin in range(0, count, AT_ONCE):
            places = range(begin, min(begin + AT_ONCE, count))
            images, valid = zip(*map(self._slice, places), strict=True)
            x = torch.stack(images)
            blank = [np.logical_or.reduce([self.files.quantity(0, n, p)[0] <= 0 for n in outside]) if outside else None
                     for p in places]  # fmt: skip
            if count // 2 in places:
                self.row.append(shrunk(self.space.to_rgb(x[count // 2 - begin])))
            for translation, several in zip(made, self._translations(x), strict=True):
                if not torch.isfinite(several).all():
                    where = f"slices {begin + 1} to {places[-1] + 1} of case {self.case.name}"
                    raise DataError(
                        f"the translation is not finite in {where}",
                        fix="translate with an earlier checkpoint, or train with a lower rate",
                    )
                for place, image, known, gone in zip(places, several, valid, blank, strict=True):
                    translation.put(place, image, known, gone)
                    if place == count // 2 and len(self.row) <= 12:
                        shown = image if gone is None else image.masked_fill(torch.from_numpy(gone), -1)
                        self.row.append(shrunk(self.target.to_rgb(shown)))
        return made

    def _slice(self, place: int) -> tuple[Tensor, NDArray[np.bool_]]:
        """C,H,W, and where it has values."""
        if self.space.is_rgb8:
            x = to_tensor(decode(self.case.files[self.source][0]))
            return x, np.ones(x.shape[1:], bool)
        quantity, valid, _ = self.space.filled(self.files.quantity(0, self.source, place))
        return self.space.to_tensor(quantity), valid

    def _translations(self, x: Tensor) -> Iterator[Tensor]:
        """N,C,H,W for each code, on the CPU."""
        tile = self.options.get("tile")
        side = self.translator.tiling(self.route).side_for(x) if tile is None else tile
        if self.codes is None and not side:
            yield self.translator.translate(x, self.route).cpu()
            return
        each = [self.translator.translations(image[None], self.route, self.codes, **self.options) for image in x]
        for images in zip(*each, strict=True):
            yield torch.stack([image.cpu() for image in images])


def _remember(
    translator: Translator, domains: Domains, route: str, plane: Any, record: Mapping[str, Any], out: Path
) -> None:
    """Write translation.json."""
    own = (translator.recipe.data.options.get("slices") or {}).get("plane", "axial")
    said = {
        "made_by": f"{MARK} {importlib.metadata.version('i2i-forge')}", "recipe": translator.recipe.name,
        "step": translator.step, "weights_sha256": translator.weights_sha256, "route": route, "plane": plane,
        **({"deviation": f"cut across {plane} planes; it was trained on {own} ones"} if plane != own else {}),
        "spaces": {name: domains[name].data() for name in translator.trainer.routes[route]},
        "outputs": {name: digest for case in record.values() for name, digest in case["outputs"].items()},
        "cases": record,
    }  # fmt: skip
    try:
        write_whole(out / RECORD, json.dumps(said, indent=2) + "\n")
    except OSError as error:
        raise disk_error(out / RECORD, error) from error


def _middle(path: Path, name: str, domains: Domains, plane: Any) -> Tensor:
    """The middle slice of a file: C,H,W in [-1, 1]."""
    if domains[name].is_rgb8:
        return to_tensor(decode(path))
    files = CaseFiles([Case(path.name, path.name, {name: (path,)})], [name], domains, plane, "none")
    space = case_space(files, 0, name)
    return space.to_tensor(space.filled(files.quantity(0, name, files.counts[0] // 2))[0])


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a series, by their names."""
    found = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with file.open("rb") as content:
            found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()
