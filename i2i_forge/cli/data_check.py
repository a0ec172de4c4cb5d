"""forge data check"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli.checking_packs import MANIFEST, check_pack
from i2i_forge.cli.common import console, json_option, note, print_json, say, warn
from i2i_forge.cli.counted import Counted
from i2i_forge.cli.file_path import FilePath
from i2i_forge.errors import DataError


@click.command("check")
@click.argument("folder", metavar="DIR", type=FilePath())
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Decode every image in DIR: how many of which size, what is damaged or unusual, what training and test share; and
    say how a recipe uses the folder. Of a pack (forge data pack), compare every byte with its checksums."""
    from i2i_forge.data.survey import survey

    if (folder / MANIFEST).is_file():
        check_pack(folder, as_json)
        return
    found = survey(folder, Counted())
    damaged = found.damaged
    if as_json:
        print_json(_facts(found))
    else:
        _print(found, folder)
    if damaged:
        total, first = sum(len(part.images) for part in found.parts), next(iter(damaged.values()))
        raise DataError(
            f"{len(damaged)} of {total} images in {folder} cannot be used",
            fix=first.fix if len(damaged) == 1 else "repair or remove these files",
        )


def _facts(found: Any) -> dict[str, Any]:
    from i2i_forge.data.survey import common_sizes

    return {
        "folders": {
            part.name: {
                "images": len(part.images),
                "sizes": {_x(size): count for size, count in common_sizes(part)},
                "damaged": {str(path): error.message for path, error in part.damaged.items()},
            }
            for part in found.parts
        },
        "noted": {note: [str(path) for path in paths] for note, paths in found.noted.items()},
        "in_training_and_test": [[str(a), str(b)] for a, b in found.twins],
        "compared_by_pixels": found.compared,
        "without_test_images": found.untested,
        "data": found.uses,
    }


def _print(found: Any, folder: Path) -> None:
    from rich.table import Table

    from i2i_forge.data.folders import shown
    from i2i_forge.data.survey import common_sizes

    table = Table("folder", "images", "damaged", "sizes, the most frequent first")
    for part in found.parts:
        sizes = [f"{_x(size)} ({count:,})" for size, count in common_sizes(part)]
        table.add_row(part.name, f"{len(part.images):,}", f"{len(part.damaged):,}", shown(sizes))
    console().print(table)
    for error in found.damaged.values():
        say(error.message)
    for what, paths in found.noted.items():
        say(f"{len(paths):,} of the images: {what}; for example {paths[0]}")
    if found.twins:
        first = " and ".join(str(path) for path in found.twins[0])
        warn(f"images that are both in training and in test: {len(found.twins):,}, for example {first}")
        note("fix: remove one of each two: a test with training images says nothing about new ones (--json names all)")
    if found.compared:
        say(f"to find what training and test share, the pixels of {found.compared:,} images were compared")
    for name in found.untested:
        others = " or ".join(name.replace("train", other) for other in ("test", "val"))
        say(f"{name} has no test set beside it, so its images would be tested on: put others in {others}")
    if not found.uses:
        say("in a recipe: no layout it knows; it reads folders trainA, trainB (testA, testB), or pairs side by side")
        say("  in train (test), or any folders that `a`, `b`, `test_a` and `test_b` name")
        return
    say("in a recipe:")
    for use in found.uses:
        options = ", ".join(f"{key}: {value}" for key, value in use.items())
        say(f"  data: {{{options}}}    {'pairs' if use['use'] == 'paired_folders' else 'unpaired'}")


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
