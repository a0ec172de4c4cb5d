"""forge translate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli import FilePath, device_option, json_option
from i2i_forge.cli.common import chosen_device, loaded_host, note, note_loaded, print_json, warn
from i2i_forge.cli.output import final_line
from i2i_forge.cli.progress import Counted
from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.recipe.schema import MOST_STYLES


@click.command("translate")
@click.argument("run", type=FilePath())
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=FilePath())
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write to.")
@click.option("--route", default="ab", show_default=True, help="The direction: ab is from domain a to b.")
@click.option("--styles", default=None, type=click.IntRange(1, MOST_STYLES), metavar="N",
              help="How many random styles each input gets  [4]")  # fmt: skip
@click.option("--reference", metavar="IMAGE", type=FilePath(), help="Take the style of this image.")
@click.option("--interpolate", type=click.IntRange(2, MOST_STYLES), metavar="N", help="Use N styles between two.")
@click.option("--seed", default=0, show_default=True, help="The seed of the random styles.")
@click.option("--files", multiple=True, metavar="IMAGE=PATTERN[,PATTERN]",
              help="How files of measured images are named, a={case}_0.nii.gz; by default as in training.")  # fmt: skip
@click.option(
    "--manifest",
    metavar="FILE",
    type=FilePath(),
    help="A CSV table of cases of measured images: case, a (or a.T1, a.T2 ...), mask; paths relative to it.",
)
@click.option("--plane", type=click.Choice(["axial", "coronal", "sagittal", "0", "1", "2"]),
              help="How volumes are cut, if not as in training.")  # fmt: skip
@click.option("--resize", type=click.IntRange(min=1), metavar="N",
              help="Resize every image first, its shorter side to N pixels, as training does.")  # fmt: skip
@click.option("--tile", type=click.IntRange(min=0), metavar="N",
              help="Translate in tiles of N x N pixels, without seams and with the memory that one tile needs; 0 turns "
                   "this off. By default images of more than 8.4 million pixels are translated in tiles of 1024, where "
                   "the networks allow it.")  # fmt: skip
@click.option("--tile-statistics", default="exact", show_default=True, type=click.Choice(["exact", "sample"]),
              help="What the networks' norms see in tiles. `exact` is the whole image: the result is that without "
                   "tiles, at several times the work. `sample` is a part of it: the work of one translation, and "
                   "slightly other tones.")  # fmt: skip
@click.option("--on-bad", default="error", show_default=True, type=click.Choice(["error", "skip"]),
              help="What to do with damaged images.")  # fmt: skip
@device_option
@json_option
def command(
    run: Path, inputs: tuple[Path, ...], out: Path, styles: int | None, reference: Path | None, interpolate: int | None,
    tile_statistics: str, on_bad: str, device: str, as_json: bool, files: tuple[str, ...], plane: str | None,
    manifest: Path | None, resize: int | None, **options: Any,
) -> None:  # fmt: skip
    """Translate INPUTs (images or folders, of any size) with RUN; write NAME-00.png, NAME-01.png ... and sheet.png.

    Measured images and volumes become files of the same kind, with the geometry of their source, and translation.json.
    Files of an earlier translation are replaced; any other file is not, an input least of all.
    """
    if not (inputs or manifest):
        raise click.UsageError("Missing argument 'INPUT...'.")
    if manifest and (inputs or files):
        raise UsageError("--manifest names all files itself", fix="leave out INPUT and --files")
    if styles and (reference or interpolate):
        raise UsageError("--styles goes with neither --reference nor --interpolate", fix="leave --styles out")

    from i2i_forge.data.domains import Domains
    from i2i_forge.translate.cases import translate_cases
    from i2i_forge.translate.files import translate_files
    from i2i_forge.translate.loading import load

    catalog = loaded_host().catalog
    translator = load(run, chosen_device(device), catalog)
    note_loaded(run, translator)
    default = 4 if translator.latent(options["route"]) else 1
    skipped: list[str] = []

    def skip(error: ForgeError) -> None:
        if on_bad == "error":
            error.fix += "; or leave such images out: --on-bad skip"
            raise error
        skipped.append(error.message)
        warn(f"{error.message}; it is left out")

    options |= {"styles": styles or default, "interpolate": interpolate or 0, "exact": tile_statistics == "exact",
                "progress": Counted(last=True), "skip": skip}  # fmt: skip
    domains = Domains.of(translator.recipe, catalog)
    if all(domains[name].is_rgb8 for name in translator.trainer.routes[options["route"]]):
        if files or plane or manifest:
            raise UsageError("--files, --manifest and --plane are for measured images", fix="leave them out")
        written = translate_files(translator, list(inputs), out, reference=reference, resize=resize, **options)
    else:
        if resize:
            raise UsageError("--resize: measured images keep their grid", fix="leave it out")
        named = dict(_named(text) for text in files)
        options |= {"files": named, "manifest": manifest, "plane": plane}
        written = translate_cases(translator, domains, inputs, out, reference=reference, **options)
    if as_json:
        print_json({"files": [str(file) for file in written[:-1]], "sheet": str(written[-1]), "skipped": skipped})
    else:
        final_line(f"{len(written) - 1} images and {written[-1]}")
    if skipped:
        note("\n  ".join([f"images that could not be used: {len(skipped)}", *skipped]))


def _named(text: str) -> tuple[str, list[str]]:
    """IMAGE=PATTERN,PATTERN as image and patterns."""
    name, equals, patterns = text.partition("=")
    if not equals or not name or not patterns:
        raise UsageError(f"--files {text}: this is not IMAGE=PATTERN", fix="write --files 'a={case}/mr.nii.gz'")
    return name, patterns.split(",")
