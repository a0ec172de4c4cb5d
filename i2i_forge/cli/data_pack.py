"""forge data pack"""

from __future__ import annotations

from pathlib import Path

import click

from i2i_forge.cli.checking_packs import show_pack
from i2i_forge.cli.common import json_option
from i2i_forge.cli.counted import Counted
from i2i_forge.cli.file_path import FilePath


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
def command(
    folder: Path,
    out: Path,
    layout: str,
    a: str,
    b: str,
    test_a: str,
    test_b: str,
    pairs: bool | None,
    on_bad: str,
    shard_size: int,
    as_json: bool,
) -> None:
    """Put the images of FOLDER into a few large files, as they are, and say how a recipe uses them.

    For file systems and object stores that are slow with many small files. The shards are plain tars that WebDataset
    reads too. The data set `packed` trains on them as on the folder, batch for batch the same.
    """
    from i2i_forge.data.packs import pack, plan_pack, refuse_what_is_there

    refuse_what_is_there(out)
    plan = plan_pack(
        folder, layout=layout, a=a, b=b, test_a=test_a, test_b=test_b, pairs=pairs,
        on_bad="skip" if on_bad == "skip" else "error",
    )  # fmt: skip
    manifest = pack(plan, out, shard_bytes=shard_size * 1_000_000, progress=Counted())
    show_pack(out, manifest, as_json)
