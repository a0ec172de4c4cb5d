"""The runs of a report: folders of runs, and of studies that hold runs below them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key, one_line

DEPTHS = (".", "*", "*/*")  # RUN; runs/RUN; STUDY/VARIANT/seed-0


@dataclass(frozen=True)
class RunPlace:
    """A run's folder, what it is called in the report, and what it is one repetition of ("" for a run of its own)."""

    folder: Path
    name: str
    group: str = ""

    @property
    def column(self) -> str:
        """What its repetitions share: the group's name, or its own."""
        return self.group or self.name


def find_runs(paths: Sequence[Path]) -> list[RunPlace]:
    """The runs at `paths` and up to two folders below each, in the order of a reader, those of a group together.

    A file stands for its folder.

    Raises:
        DataError: a path does not exist.
    """
    folders: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder", fix="name a run's folder, or one with runs")
        root = path if path.is_dir() else path.parent
        holds_runs = path.is_dir() and not (path / "resolved.yaml").is_file()
        depths = DEPTHS if holds_runs else DEPTHS[:1]
        found = [file.parent for depth in depths for file in root.glob(f"{depth}/resolved.yaml")]
        for folder in sorted(found, key=natural_key):
            folders.setdefault(folder.resolve(), folder)
    places = [_place(absolute, folder) for absolute, folder in folders.items()]
    count = Counter(place.name for place in places)
    places = [_by_path(place) if count[place.name] > 1 else place for place in places]
    groups = list(dict.fromkeys(place.column for place in places))
    return sorted(places, key=lambda place: groups.index(place.column))


def _place(absolute: Path, folder: Path) -> RunPlace:
    if absolute.name.startswith("seed-"):
        group = one_line(absolute.parent.name)
        return RunPlace(folder, f"{group}/{one_line(absolute.name)}", group)
    return RunPlace(folder, one_line(absolute.name))


def _by_path(place: RunPlace) -> RunPlace:
    """The place under its path, for two of one name."""
    return replace(
        place, name=one_line(str(place.folder)), group=one_line(str(place.folder.parent)) if place.group else ""
    )
