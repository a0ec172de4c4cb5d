"""forge init"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i_forge.catalog.loading import read_vocabulary
from i2i_forge.cli import FilePath
from i2i_forge.cli.common import chosen_device, loaded_host, note, say, warn
from i2i_forge.cli.data_check import MANIFEST
from i2i_forge.cli.progress import Counted, about
from i2i_forge.errors import UsageError, disk_error
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.system.files import one_line

if TYPE_CHECKING:
    from i2i_forge.data.survey import Survey
    from i2i_forge.run.small_recipe import Proposal

KINDS = {
    "paired_folders": "pairs", "unpaired_folders": "images without pairs",
    "edges_of_photos": "photographs and drawings of them",
}  # fmt: skip


@click.command("init")
@click.argument("folder", metavar="DIR", type=FilePath())
@click.option("--method", metavar="NAME",
              help="A method that has a small recipe: see `forge recipes synthetic`  [by the folder]")  # fmt: skip
@click.option("--size", type=click.IntRange(min=1), help="Side of the training images in pixels  [at most 64]")
@click.option("--out", metavar="FILE.yaml", type=FilePath(),
              help="The recipe to write  [DIR_METHOD.yaml, here]")  # fmt: skip
def command(folder: Path, method: str | None, size: int | None, out: Path | None) -> None:
    """Look at the images in DIR, write a small recipe for them, say how long it trains here and what to do next.

    Images are pairs if they have equal names in trainA and trainB, or lie side by side in train. They are unpaired in
    trainA and trainB with other names, or in any two folders. From photographs alone, drawings are made of them.

    A recipe is for editing: one that is there already is never replaced.
    """
    from i2i_forge.data.survey import survey
    from i2i_forge.engine.build import build_trainer
    from i2i_forge.run.forecast import seconds_per_step
    from i2i_forge.run.small_recipe import fitting_size, propose
    from i2i_forge.run.streams import build_streams

    if (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is a pack", fix="write what `forge data check` says into `data:` of a recipe")
    _refuse_existing(out)
    found = survey(folder, Counted())
    proposed = propose(found, folder, method)
    file = out or Path(f"{_plain(folder)}_{read_recipe(proposed.base).trainer}.yaml")
    _refuse_existing(file)
    _warn_of(found, proposed)
    host, device = loaded_host(), chosen_device("auto")
    catalog = host.catalog
    size = fitting_size(proposed.base, proposed.shorter_side(found), catalog, size)
    note("taking a few steps, to see how long they are ...")
    recipe = proposed.recipe(size, read_vocabulary(host.plugins))
    streams, _ = build_streams(recipe, catalog)
    seconds = seconds_per_step(build_trainer(recipe, catalog, device), streams["main"].batch(0))
    cost = f"{about(seconds * recipe.steps)} on {device}"
    text = f"{_head(file, proposed, found, f'{cost}, at {seconds:.2g} s a step')}{proposed.text(size)}"
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise disk_error(file, error, refused="name another file with --out") from error
    say(f"{file}: {recipe.steps:,} steps of {recipe.trainer} with {KINDS[recipe.data.use]} take {cost}")
    inputs = [_quoted(folder / part.name) for part in found.parts if part.name in ("testA", "valA")]
    sized = f"{next(iter(inputs), 'IMAGES')} --resize {recipe.data.options['size']}"
    _say_next(_quoted(file), _quoted(Path("runs") / file.stem), sized)


def _warn_of(found: Survey, proposed: Proposal) -> None:
    for images, what in ((found.damaged, "cannot be used"), (found.twins, "are both in training and in test")):
        if images:
            warn(f"{len(images):,} images {what}: `forge data check` names them")
    if proposed.halves:
        note("each image is a pair: its left half a, its right half b (single photographs: a folder without `train`)")


def _head(file: Path, proposed: Proposal, found: Survey, cost: str) -> str:
    counts = ", ".join(f"{'images' if part.name == '.' else part.name} {len(part.sizes):,}" for part in found.parts)
    lines = [
        f"forge train {_quoted(file)}        {cost}",
        f"{proposed.base} with other images: {counts}; a typical shorter side is {proposed.shorter_side(found)}.",
        "Twice the size is about four times the work. Larger networks, for a GPU: `forge recipes`, with this `data:`.",
    ]
    return "".join(f"# {one_line(line)}\n" for line in lines)


def _say_next(file: str, run: str, inputs: str) -> None:
    rows = {
        f"forge data preview {file} --out preview.png": "what the networks will see",
        f"forge train {file}": f"pictures meanwhile: {run}/samples",
        f"forge translate {run} {inputs} --out translated": "all in one picture: translated/sheet.png",
    }
    width = max(map(len, rows))
    for line, meaning in rows.items():
        say(f"  {line:<{width}}   # {meaning}")


def _refuse_existing(file: Path | None) -> None:
    if file is not None and (file.exists() or file.is_symlink()):
        raise UsageError(f"{file} is there already", fix="train it, or name another file with --out")


def _plain(folder: Path) -> str:
    """The folder's name as a file's, without what a shell or a comment would read otherwise."""
    return re.sub(r"[^\w.-]+", "_", folder.resolve().name).strip("._-") or "images"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
