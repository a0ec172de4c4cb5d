"""forge checkpoint"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli import checkpoint_replay, checkpoint_verify
from i2i_forge.cli.common import checked_recipe, json_option, loaded_host, note, print_json
from i2i_forge.cli.output import final_line
from i2i_forge.errors import CheckpointError, UsageError
from i2i_forge.registry import Registry
from i2i_forge.yaml_text import to_inline_yaml


@click.group("checkpoint")
def command() -> None:
    """Look into, verify, replay, import and export checkpoints."""


for part in (checkpoint_verify, checkpoint_replay):
    command.add_command(part.command)


@command.command("inspect")
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def inspect(run: Path, as_json: bool) -> None:
    """What RUN's newest checkpoint holds."""
    from i2i_forge import checkpoint
    from i2i_forge.run_folder import RunFolder

    folder = RunFolder.open(run)
    found = checkpoint.newest(folder.checkpoints, note)
    if found is None:
        raise CheckpointError(f"{run} has no checkpoint yet", fix="train it first")
    networks: dict[str, int] = {}
    for name, value in found.model.items():
        role = name.partition(".")[0]
        networks[role] = networks.get(role, 0) + value.numel()
    facts: dict[str, Any] = {
        "recipe": folder.recipe().name,
        **found.state,
        "parameters": dict(sorted(networks.items())),
    }
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, inner in value.items():
                click.echo(f"  {name}: {inner:,}" if isinstance(inner, int) else f"  {name}: {inner}")
        else:
            click.echo(f"{key}: {value}")


@command.command("import")
@click.argument("files", nargs=-1, required=True, metavar="[PART=]FILE...")
@click.option("--format", "layout", required=True, help="The program it comes from: nvlabs-munit, junyanz-cyclegan.")
@click.option("--run", "target", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The run to make.")
@click.option("--recipe", "name", help="The recipe whose objective and data it gets  [the format's own]")
@click.pass_obj
def import_command(
    folders: tuple[Path, ...], files: tuple[str, ...], layout: str, target: Path, name: str | None
) -> None:
    """Make a run from another program's checkpoint FILEs; widths and depths are read from them.

    What a FILE holds is seen from its content and its name; PART=FILE says it: G_A=horse2zebra.pth.
    """
    from i2i_forge import checkpoint
    from i2i_forge.build import build_trainer
    from i2i_forge.run_folder import RunFolder
    from i2i_forge.translate import without_losses

    host = loaded_host(folders)
    if RunFolder(target).resolved.exists():
        raise UsageError(f"--run {target}: there is a run already", fix="name a new folder")
    reader = host.catalog.formats.get(layout)()
    parts, contents = _read_parts(files, layout, host.catalog.formats)
    source = name or reader.recipe
    changes = _network_changes(reader.networks(contents), set(checked_recipe(source, (), (), folders).networks))
    recipe = checked_recipe(source, changes, (), folders)
    trainer = build_trainer(without_losses(recipe), host.catalog)
    trainer.load_foreign(parts, layout)
    folder = RunFolder(target)
    folder.prepare()
    with folder.locked():
        folder.remember(recipe, source, host, "imported")
        imported = {"imported_from": {part: str(file) for part, file in parts.items()}, "format_of_origin": layout}
        checkpoint.save(folder.checkpoints, 0, trainer, imported, keep=recipe.run.keep)
    for part in reader.parts:
        if part not in parts:
            note(f"no file of '{part}' was given: its networks are freshly drawn")
    final_line(f"{target}: {', '.join(parts)} imported. Next: forge translate {target} IMAGES --out DIR")


def _read_parts(files: tuple[str, ...], layout: str, formats: Registry) -> tuple[dict[str, Path], dict[str, Any]]:
    """The file and the content of each part."""
    from i2i_forge.foreign import part_of, read_foreign

    parts: dict[str, Path] = {}
    contents: dict[str, Any] = {}
    known = formats.get(layout)().parts
    for given in files:
        said, _, rest = given.partition("=")
        file = Path(rest if said in known and rest else given)
        content = read_foreign(file)
        seen = part_of(content, file, layout, formats)
        part = said if said in known and rest else seen
        if part in parts:
            raise UsageError(
                f"{parts[part]} and {file} are both '{part}'",
                fix=f"give one file of each part, or say which it is, PART=FILE; the parts are {', '.join(known)}",
            )
        parts[part], contents[part] = file, content
    return parts, contents


def _network_changes(networks: dict[str, dict[str, Any]], present: set[str]) -> list[str]:
    """What `--set` would say; a role with `use` is replaced as a whole, another one changed."""
    changes = []
    for role, options in networks.items():
        if "use" in options:
            changes += [f"networks.{role}=~"] if role in present else []
            changes.append(f"networks.{role}={to_inline_yaml(options)}")
        else:
            changes += [f"networks.{role}.{key}={to_inline_yaml(value)}" for key, value in options.items()]
    return changes


@command.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "layout", required=True, help="The program to write for: nvlabs-munit, junyanz-cyclegan.")
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The folder to write.")
@click.pass_obj
def export(folders: tuple[Path, ...], run: Path, layout: str, out: Path) -> None:
    """Write RUN's newest weights, averaged where the recipe has `ema`, as another program's checkpoint."""
    import torch

    from i2i_forge.translate import load

    translator = load(run, "cpu", loaded_host(folders).catalog)
    writer = translator.trainer.format(layout)
    parts = writer.save(translator.trainer.state_dict())
    try:
        out.mkdir(parents=True, exist_ok=True)
        for part, content in parts.items():
            file = out / writer.file.format(part=part, step=translator.step)
            with file.open("wb") as handle:
                torch.save(content, handle)
            click.echo(f"{file}")
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}", fix="name another folder") from error
