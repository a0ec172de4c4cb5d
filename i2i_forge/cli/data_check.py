"""forge data check, forge data pack"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from i2i_forge.cli import FilePath, json_option
from i2i_forge.cli.common import (
    loaded_host,
    note,
    print_json,
    print_table,
    refuse_damaged,
    say,
    say_damaged_and_noted,
    warn,
)
from i2i_forge.cli.progress import Counted
from i2i_forge.recipe.yaml_text import to_inline_yaml

MANIFEST = "pack.json"  # as i2i_forge.data.packs has it, which imports numpy


@click.command("check")
@click.argument("folder", metavar="DIR", type=FilePath())
@click.option("--set", "changes", multiple=True, metavar="files.NAME=PATTERN",
              help="How files are named: 'files.a={case}/mr.nii.gz'; commas part those of a stack.")  # fmt: skip
@json_option
def check(folder: Path, changes: tuple[str, ...], as_json: bool) -> None:
    """Read every image in DIR: how many of which size, what is damaged or unusual, what training and test share; and
    say how a recipe uses the folder. Of a pack (forge data pack), compare every byte with its checksums.

    Where images are not 8-bit pictures (NIfTI, DICOM, TIFF of 16 bits, GeoTIFF, arrays ...), say what their values are
    too, which files make up a case, and what a recipe's section `domains` says.
    """
    from i2i_forge.cli.case_check import check_cases
    from i2i_forge.data.case_survey import is_measured
    from i2i_forge.data.file_formats import Files
    from i2i_forge.data.packs import Pack
    from i2i_forge.data.survey import survey

    if (folder / MANIFEST).is_file():
        pack = Pack(folder)
        pack.verify(Counted("GB", 1e9))
        _show_pack(folder, pack.manifest, as_json)
        return
    files = Files(loaded_host().catalog.files)
    if changes or is_measured(folder, files):
        check_cases(folder, files, changes, as_json)
        return
    found = survey(folder, Counted())
    if as_json:
        print_json(_facts(found))
    else:
        _print(found, folder)
    refuse_damaged(found, sum(len(part.images) for part in found.parts), folder)


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
    from i2i_forge.data.folders import shown
    from i2i_forge.data.survey import common_sizes

    rows = []
    for part in found.parts:
        sizes = [f"{_x(size)} ({count:,})" for size, count in common_sizes(part)]
        rows.append((part.name, f"{len(part.images):,}", f"{len(part.damaged):,}", shown(sizes)))
    print_table("folder", "images", "damaged", "sizes, the most frequent first", rows=rows)
    say_damaged_and_noted(found)
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
    _say_uses([(use, "pairs" if use["use"] == "paired_folders" else "unpaired") for use in found.uses])


def _say_uses(uses: Iterable[tuple[dict[str, Any], str]]) -> None:
    say("in a recipe:")
    for use, meaning in uses:
        say(f"  data: {to_inline_yaml(use)}    {meaning}")


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@click.command("pack")
@click.argument("folder", metavar="FOLDER", type=FilePath())
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
@click.option("--layout", default="auto", show_default=True, type=click.Choice(["auto", "two_folders", "side_by_side"]),
              help="How FOLDER is laid out, as for the data set unpaired_folders.")  # fmt: skip
@click.option("--a", default="", metavar="DIR", help="The folder of training images of domain a  [trainA or train]")
@click.option("--b", default="", metavar="DIR", help="The folder of training images of domain b.")
@click.option("--test-a", default="", metavar="DIR", help="The folder of test images of domain a.")
@click.option("--test-b", default="", metavar="DIR", help="The folder of test images of domain b.")
@click.option("--pairs/--no-pairs", default=None,
              help="Whether images of one name are pairs; by default if each has a partner of its size.")  # fmt: skip
@click.option("--on-bad", default="error", show_default=True, type=click.Choice(["error", "skip"]),
              help="What to do with damaged images.")  # fmt: skip
@click.option("--shard-size", default=256, show_default=True, metavar="MB", type=click.IntRange(1, 10**6),
              help="About how large a shard is.")  # fmt: skip
@json_option
def pack_command(folder: Path, out: Path, on_bad: str, shard_size: int, as_json: bool, **layout: Any) -> None:
    """Put the images of FOLDER into a few large files, as they are, and say how a recipe uses them.

    For file systems and object stores that are slow with many small files. The shards are plain tars that WebDataset
    reads too. The data set `packed` trains on them as on the folder, batch for batch the same.
    """
    from i2i_forge.data.packs import pack, plan_pack, refuse_what_is_there

    refuse_what_is_there(out)
    plan = plan_pack(folder, on_bad="skip" if on_bad == "skip" else "error", **layout)
    manifest = pack(plan, out, shard_bytes=shard_size * 1_000_000, progress=Counted())
    _show_pack(out, manifest, as_json)


def _show_pack(folder: Path, manifest: Any, as_json: bool) -> None:
    plain: dict[str, Any] = {"use": "packed", "root": str(folder)}
    uses = [(plain, "unpaired")]
    if manifest.pairs or manifest.layout == "side_by_side":
        uses = [(plain, "pairs"), ({**plain, "paired": False}, "unpaired")]
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "images": manifest.entries,
                "parts": {role: {"folder": part.folder, "images": part.count} for role, part in manifest.parts.items()},
                "shards": len(manifest.shards),
                "bytes": sum(shard.bytes for shard in manifest.shards),
                "data": [use for use, _ in uses],
            }
        )
        return
    parts = [(role, part.folder, f"{part.count:,}") for role, part in manifest.parts.items()]
    print_table("part", "folder", "images", rows=parts)
    size = sum(shard.bytes for shard in manifest.shards) / 1e9
    say(f"{manifest.entries:,} images in {len(manifest.shards):,} shards of together {size:.3g} GB: {folder}")
    _say_uses(uses)
