"""What `forge data pack` and `forge data check` say of a pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2i_forge.cli.common import console, print_json, say
from i2i_forge.cli.counted import Counted

MANIFEST = "pack.json"  # as i2i_forge.data.packs has it, which imports numpy


def check_pack(folder: Path, as_json: bool) -> None:
    """Compare the index and all shards with their checksums. Raises DataError that names what is damaged."""
    from i2i_forge.data.packs import Pack

    pack = Pack(folder)
    pack.verify(Counted("GB", 1e9))
    show_pack(folder, pack.manifest, as_json)


def show_pack(folder: Path, manifest: Any, as_json: bool) -> None:
    """What a pack holds and how a recipe uses it."""
    uses = _uses(folder, manifest)
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
    from rich.table import Table

    table = Table("part", "folder", "images")
    for role, part in manifest.parts.items():
        table.add_row(role, part.folder, f"{part.count:,}")
    console().print(table)
    size = sum(shard.bytes for shard in manifest.shards) / 1e9
    say(f"{manifest.entries:,} images in {len(manifest.shards):,} shards of together {size:.3g} GB: {folder}")
    say("in a recipe:")
    for use, meaning in uses:
        shown = {key: str(value).lower() if isinstance(value, bool) else value for key, value in use.items()}
        say(f"  data: {{{', '.join(f'{key}: {value}' for key, value in shown.items())}}}    {meaning}")


def _uses(folder: Path, manifest: Any) -> list[tuple[dict[str, Any], str]]:
    plain = {"use": "packed", "root": str(folder)}
    if manifest.pairs or manifest.layout == "side_by_side":
        return [(plain, "pairs"), ({**plain, "paired": False}, "unpaired")]
    return [(plain, "unpaired")]
