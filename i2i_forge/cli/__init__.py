"""The command `forge`. Commands are imported when they are used, and torch inside them, so that help is immediate."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from i2i_forge.cli.output import make_tolerant, require_result
from i2i_forge.errors import ForgeError, UsageError, suggest
from i2i_forge.system.files import printable

COMMANDS = {  # name -> (module, one line of help); the modules are imported when the command runs
    "init": ("init", "Write a small recipe for a folder of images, and say how long it takes."),
    "train": ("train", "Train a recipe; the same command again resumes."),
    "translate": ("translate", "Translate images with a trained run."),
    "export": ("export", "Write a run's translator as a program that needs PyTorch alone."),
    "ablate": ("ablate", "Train an objective and its variants, measure all alike, write one table."),
    "eval": ("evaluate", "Measure diversity, quality, modes and content of a run, or of any images."),
    "report": ("report", "Compare what `forge eval` has measured; --html writes a page about runs."),
    "bench": ("bench", "Measure time and memory of a training step, beside a plain one."),
    "check": ("check", "Report every mistake in a recipe, then try one step without data."),
    "show": ("show", "Print a recipe with the origin of each value, or what its terms compute."),
    "recipes": ("recipes", "List the recipes that come with i2i_forge."),
    "plugins": ("plugins", "List plugins and what they provide."),
    "plugin": ("plugin", "Write the package of a plugin, and check that one keeps its promises."),
    "schema": ("schema", "Print the JSON Schema of recipes: editors complete and check with it."),
    "completion": ("completion", "Print what makes a shell complete `forge` lines."),
    "data": ("data", "Get, check, look at and make data sets."),
    "classifier": ("classifier", "Train and show the classifier of modes that some metrics need."),
    "weights": ("weights", "Get, list and verify pretrained weights."),
    "checkpoint": ("checkpoint", "Look into, verify, import and export checkpoints."),
}


class FilePath(click.Path):
    """A path. An empty one, as of a shell variable that is not set, is refused: it would be the current folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises click.BadParameter, exit code 2, when it is empty or not as the options ask for."""
        if value == "":
            self.fail("the path is empty: a shell variable may not be set; the current folder is `.`", param, ctx)
        return super().convert(value, param, ctx)


# Options of several commands.
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
device_option = click.option("--device", default="auto", show_default=True, help="The device: cpu, cuda, cuda:1 ...")


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of daily use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"i2i_forge.cli.{COMMANDS[cmd_name][0]}")
        return module.command  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; an unknown one is an error that suggests the nearest."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:  # the shell only asks for completions
            raise UsageError(f"there is no command '{args[0]}'", fix=suggest(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--plugins", "folders", multiple=True, metavar="DIR", type=FilePath(),
              help="Load every plugin file of this folder too.")  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="i2i-forge", prog_name="forge")
def cli(folders: tuple[Path, ...], debug: bool) -> None:
    """Image-to-image translation from recipes and plugins.

    \b
    forge train munit_synthetic            train a recipe (by name or file)
    forge translate RUN IMAGES --out DIR   translate images, several styles each
    forge eval --metric lpips-diversity    measure the newest run

    What is in the place of an output is replaced if the same command wrote it, and otherwise refused.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 recipe, 4 data, 5 checkpoint, 6 plugin, 7 diverged, 8 out of memory
    or disk, 129 SIGHUP, 130 SIGINT and 143 SIGTERM after a clean save.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `forge` and exit with the documented code."""
    make_tolerant()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if "_FORGE_COMPLETE" in os.environ:  # the shell asks: how bash cuts words is our own
        importlib.import_module("i2i_forge.cli.completion")
    try:
        code = cli.main([a for a in arguments if a != "--debug"], prog_name="forge", standalone_mode=False)
        require_result()
        sys.exit(code if isinstance(code, int) else 0)
    except ForgeError as error:
        _complain(error, debug)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show(text := io.StringIO())
        click.echo(printable(text.getvalue()), err=True, nl=False)
        if isinstance(error, click.NoSuchOption) and error.option_name == "--plugins":
            click.echo("It goes before the command: forge --plugins DIR check ...", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        _complain(error, debug)
        sys.exit(1)


def _complain(error: Exception, debug: bool) -> None:
    if debug:
        import traceback

        click.echo(printable("".join(traceback.format_exception(error))), err=True)
    text = f"error: {error}"
    if not isinstance(error, ForgeError):
        notes: list[Any] = getattr(error, "__notes__", [])
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        fix = "fix: `forge --debug ...` shows the traceback, for a report to the plugin or i2i_forge"
        text = "\n".join([f"error: {type(error).__name__}: {first}", *(f"  {note}" for note in notes[:3]), fix])
    click.echo(printable(text), err=True)
