"""forge checkpoint"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli import FilePath, checkpoint_replay, json_option
from i2i_forge.cli.common import checked_recipe, loaded_host, note, print_json, say
from i2i_forge.cli.output import final_line
from i2i_forge.errors import CheckpointError, UsageError, disk_error
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.yaml_text import to_inline_yaml
from i2i_forge.system.files import write_whole
from i2i_forge.system.outputs import refuse_to_fill, refuse_to_replace

if TYPE_CHECKING:
    from i2i_forge.run.foreign import ForeignFile, Format


@click.group("checkpoint")
def command() -> None:
    """Look into, verify, replay, import and export checkpoints."""


command.add_command(checkpoint_replay.verify_command)
command.add_command(checkpoint_replay.replay)


@command.command("inspect")
@click.argument("run", type=FilePath())
@json_option
def inspect(run: Path, as_json: bool) -> None:
    """Print what RUN's newest checkpoint holds."""
    from i2i_forge.run import checkpoint
    from i2i_forge.run.folder import RunFolder

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
        **{key: value for key, value in found.state.items() if key != "settings"},  # as long as resolved.yaml
        "parameters": dict(sorted(networks.items())),
    }
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            say(f"{key}:")
            for name, inner in value.items():
                say(f"  {name}: {inner:,}" if isinstance(inner, int) else f"  {name}: {inner}")
        else:
            say(f"{key}: {value}")


@command.command("import")
@click.argument("files", nargs=-1, required=True, metavar="[PART=]FILE...")
@click.option("--format", "layout", required=True, help="The program it comes from: nvlabs-munit, junyanz-cyclegan.")
@click.option("--run", "target", required=True, metavar="DIR", type=FilePath(), help="The run to make.")
@click.option("--recipe", "name", help="The recipe whose objective and data it gets  [the format's own]")
@click.option(
    "--domains",
    type=click.Choice(["rgb", "grey"]),
    default="rgb",
    show_default=True,
    help="What a generator sees that makes RGB of one channel: RGB in grey, or grey images.",
)
def import_command(files: tuple[str, ...], layout: str, target: Path, name: str | None, domains: str) -> None:
    """Make a run from another program's checkpoint FILEs; widths, depths and channels are read from them.

    What a FILE holds is found from its content and its name. Where these do not tell, say it: G_A=horse2zebra.pth.
    """
    from i2i_forge.engine.build import build_trainer
    from i2i_forge.recipe.reading import without_losses
    from i2i_forge.run import checkpoint
    from i2i_forge.run.folder import RunFolder
    from i2i_forge.run.foreign import by_part, load_foreign, read_files
    from i2i_forge.run.identity import identity

    if RunFolder(target).resolved.exists():
        raise UsageError(f"--run {target}: there is a run already", fix="name a new folder")
    refuse_to_fill(target, "--run")
    host = loaded_host()
    reader = host.catalog.formats.get(layout)()
    if domains == "grey":
        if not hasattr(reader, "grey"):
            raise UsageError(f"--domains grey: {layout} sees no image in grey", fix="leave it out")
        reader.grey = True
    parts = by_part(read_files(files, reader.parts), layout, host.catalog.formats)
    source = name or reader.recipe
    recipe = _recipe_for(reader, parts, source)
    trainer = build_trainer(without_losses(recipe), host.catalog)
    load_foreign(trainer, {part: file.path for part, file in parts.items()}, layout, host.catalog.formats)
    folder = RunFolder(target)
    folder.prepare()
    with folder.locked():
        folder.remember(recipe, source, host, "imported")
        imported = {
            "imported_from": {part: str(file.path) for part, file in parts.items()},
            "format_of_origin": layout,
            **identity(recipe),
        }
        step = _steps_of(parts.values(), reader)
        checkpoint.save(folder.checkpoints, step, trainer, imported, keep=recipe.run.keep)
    for part in reader.parts:
        if part not in parts:
            note(f"no file of '{part}' was given: its networks are freshly drawn")
    final_line(f"{target}: {', '.join(parts)} imported. Next: forge translate {target} IMAGES --out DIR")


def _recipe_for(reader: Format, parts: Mapping[str, ForeignFile], source: str) -> Recipe:
    """The recipe, with networks as wide and deep as those of the files, and images of as many channels."""
    from i2i_forge.run.foreign_images import described

    contents = {part: file.content for part, file in parts.items()}
    networks, base = reader.networks(contents), checked_recipe(source, (), ())
    counts = reader.images(contents) if hasattr(reader, "images") else {}
    for domain in [name for name, count in _in_grey(reader, contents).items() if count != counts[name]]:
        note(f"a network sees images of {domain} in one channel and makes RGB of them: taken for RGB seen in grey; if "
             "they are grey images, say --domains grey")  # fmt: skip
    domains = described(counts, base.domains)
    for domain in domains:
        values = "8-bit grey" if counts[domain] == 1 else "values from 0 to 255"
        note(f"images of {domain} have {counts[domain]} channel{'s' * (counts[domain] > 1)}, taken for {values}: "
             f"domains.{domain} of a --recipe says otherwise")  # fmt: skip
    changes = [f"domains.{domain}={to_inline_yaml(said)}" for domain, said in domains.items()]
    return checked_recipe(source, [*changes, *_network_changes(networks, set(base.networks))], ())


def _in_grey(reader: Any, contents: Mapping[str, Any]) -> Mapping[str, int]:
    """How many channels images would have by the other reading of a network that sees one channel and makes RGB."""
    if not hasattr(reader, "grey") or reader.grey:
        return {}
    other = type(reader)()
    other.grey = True
    counts: Mapping[str, int] = other.images(contents)
    return counts


def _steps_of(files: Iterable[ForeignFile], reader: Format) -> int:
    """How many steps the weights were trained for, as far as the files tell; the fewest where they differ."""
    tell = getattr(reader, "trained", lambda content, name: (0, ""))
    steps: dict[Path, int] = {}
    for file in files:
        steps[file.path], remark = tell(file.content, file.path.name)
        if remark:
            note(f"{file.path} is of {remark}, which is no number of steps: the run begins at step 0")
    if len(set(steps.values())) > 1:
        shown = ", ".join(f"{file}: {count:,}" for file, count in steps.items())
        note(f"the files are of different steps, the fewest count: {shown}")
    if step := min(steps.values()):
        note(f"the weights are of step {step:,}, where training goes on")
    return step


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
@click.argument("run", type=FilePath())
@click.option("--format", "layout", required=True, help="The program to write for: nvlabs-munit, junyanz-cyclegan.")
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
def export(run: Path, layout: str, out: Path) -> None:
    """Write RUN's newest weights, averaged where the recipe has `ema`, as another program's checkpoint."""
    import torch

    from i2i_forge.run.foreign_images import refuse_other_values
    from i2i_forge.translate.loading import load

    catalog = loaded_host().catalog
    translator, writer = load(run, "cpu", catalog), catalog.formats.get(layout)()
    refuse_other_values(translator.trainer.spaces, translator.trainer.image_domains(), writer.title)
    contents: dict[Path, bytes] = {}
    for part, content in writer.save(translator.trainer.state_dict()).items():
        torch.save(content, buffer := io.BytesIO())
        contents[out / writer.file.format(part=part, step=translator.step)] = buffer.getvalue()
    refuse_to_replace(contents, lambda file: file.read_bytes() == contents[file])
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, written in contents.items():
            write_whole(file, written)
            say(f"{file}")
    except OSError as error:
        raise disk_error(out, error) from error
