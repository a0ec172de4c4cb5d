"""forge plugin"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i_forge.catalog.loading import find_plugins, read_vocabulary
from i2i_forge.cli import FilePath, json_option
from i2i_forge.cli.common import note, plugin_folders, print_json, say
from i2i_forge.errors import PluginError, UsageError
from i2i_forge.testing.scaffold import KINDS, names_of, write_package

if TYPE_CHECKING:
    from i2i_forge.testing import Result


@click.group("plugin")
def command() -> None:
    """Start a plugin of one's own, and check one."""


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="loss", show_default=True, help="The kind of its component.")
@click.option("--out", default=".", show_default=True, metavar="DIR", type=FilePath(),
              help="The folder to make the package's folder in.")  # fmt: skip
def new(name: str, kind: str, out: Path) -> None:
    """Write an installable package with a small working component and its tests.

    \b
    forge plugin new soft-edges --kind loss
    cd soft-edges && pip install -e '.[test]' && pytest
    """
    names = names_of(name)
    taken = read_vocabulary(find_plugins()).components
    for component in taken:
        if names.module in (component.plugin, component.name):
            raise UsageError(
                f"'{name}' is taken: plugin '{component.plugin}' brings {component.kind}: {component.name}",
                fix=f"choose another name, such as {names.package}-plugin",
            )
    for file in write_package(names, kind, out / names.package):
        note(f"wrote {file}")
    say(f"{out / names.package}")
    note(f"next: cd {out / names.package} && pip install -e '.[test]' && pytest")


@command.command("check")
@click.argument("target", metavar="NAME|FILE|PACKAGE")
@click.option("--verbose", "-v", is_flag=True, help="Also list the promises that are kept.")
@json_option
def check(target: str, verbose: bool, as_json: bool) -> None:
    """Check that a plugin keeps the promises of what it brings.

    The exit code is 6 when it does not. The same checks in a test: i2i_forge.testing.check_plugin.
    """
    from i2i_forge.testing import run_checks

    note(f"checking {target} ...")
    results = run_checks(target, folders=plugin_folders())
    broken = [result for result in results if result.problems]
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        _show(results, verbose)
    if broken:
        raise PluginError(f"{len(broken)} of {_count(results)} checks fail", fix=_fix(broken))


def _fix(broken: Sequence[Result]) -> str:
    """How a plugin says that a promise does not hold, for one of those that are broken; it should at least run."""
    for result in broken:
        if result.component and result.check != "runs":
            entry = {result.component.partition(": ")[2]: {"skip": {result.check: "why"}}}
            return f"mend them; where a promise cannot hold, say so in the plugin: CHECKS = {json.dumps(entry)}"
    return "mend them"


def _count(results: Sequence[Result]) -> int:
    return sum(not result.skipped for result in results)


def _show(results: Sequence[Result], verbose: bool) -> None:
    """A line for each component, and under it what is wrong or was left out."""
    for (plugin, component), found in groupby(results, key=lambda result: (result.plugin, result.component)):
        group = list(found)
        broken = sum(bool(result.problems) for result in group)
        outcome = f"{broken} of {_count(group)} checks fail" if broken else f"{_count(group)} checks pass"
        say(f"{component or f'plugin {plugin}'}: {outcome}")
        for result in group:
            for problem in result.problems:
                say(f"  {result.check}: {problem}")
            if result.skipped and (verbose or not broken):
                say(f"  {result.check}: not checked, {result.skipped}")
            if verbose and not result.problems and not result.skipped:
                say(f"  {result.check}: {result.promise}")
