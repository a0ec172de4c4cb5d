"""forge plugins"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from i2i_forge.cli.common import console, json_option, print_json
from i2i_forge.errors import PluginError, suggest
from i2i_forge.plugins import HOST, Plugin, find_plugins

PROBE_TIMEOUT = 60


@click.group("plugins", invoke_without_command=True)
@json_option
@click.option("--why", metavar="NAME", help="Show why a plugin is set aside.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, why: str | None) -> None:
    """List plugins and what they provide.

    Other people's plugins are tried in a process of their own, so that one that hangs or crashes is only reported.
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.obj or (), as_json, why)


@command.command("list")
@json_option
@click.pass_obj
def list_command(folders: tuple[Path, ...], as_json: bool) -> None:
    """List plugins and what they provide."""
    _list(folders or (), as_json, None)


def _list(folders: tuple[Path, ...], as_json: bool, why: str | None) -> None:
    plugins = find_plugins(folders)
    _try_foreign(plugins, folders)
    if why is not None:
        _explain(plugins, why)
        return
    if as_json:
        print_json([_facts(plugin) for plugin in plugins])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "from", "status", "provides")
    for plugin in plugins:
        provides = "\n".join(f"{kind}: {', '.join(names)}" for kind, names in _provides(plugin).items())
        status = plugin.status if not plugin.reason else f"{plugin.status}: {plugin.reason}"
        table.add_row(*map(Text, (plugin.name, f"{plugin.distribution} {plugin.version}", status, provides or "hooks")))
    console().print(table)


def _try_foreign(plugins: list[Plugin], folders: tuple[Path, ...]) -> None:
    """Import the plugins that are not ours in another process; ours have been read and are covered by our tests."""
    for plugin in plugins:
        if plugin.status == "found" and plugin.distribution == HOST:
            plugin.status = "ok"
    foreign = [plugin for plugin in plugins if plugin.status == "found"]
    if not foreign:
        return
    try:
        outcome = _probe(folders)
    except (subprocess.TimeoutExpired, ValueError):
        for plugin in foreign:
            plugin.set_aside("broken", f"importing the plugins hangs or crashes (waited {PROBE_TIMEOUT} s at most)")
        return
    for plugin in foreign:
        found = outcome.get(plugin.name)
        if found:
            plugin.status, plugin.reason, plugin.detail = found


def _probe(folders: tuple[Path, ...]) -> dict[str, list[str]]:
    """name -> status, reason, detail, of every plugin as imported elsewhere."""
    code = (
        "import sys, json, os\n"
        "out = os.dup(1); os.dup2(2, 1)\n"  # what plugins print must not mix with the answer
        "from i2i_forge.plugins import load_plugins\n"
        "host = load_plugins(sys.argv[1:])\n"
        "os.write(out, json.dumps({p.name: [p.status, p.reason, p.detail] for p in host.plugins}).encode())\n"
    )
    command_line = [sys.executable, "-c", code, *map(str, folders)]
    done = subprocess.run(command_line, capture_output=True, timeout=PROBE_TIMEOUT, check=False)
    return dict(json.loads(done.stdout))


def _explain(plugins: list[Plugin], name: str) -> None:
    for plugin in plugins:
        if plugin.name == name:
            click.echo(f"{plugin.name}: {plugin.status}. {plugin.reason}".rstrip())
            click.echo(plugin.detail, nl=False)
            return
    raise PluginError(f"there is no plugin '{name}'", fix=suggest(name, [p.name for p in plugins]))


def _provides(plugin: Plugin) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for component in plugin.provides:
        kinds.setdefault(component.kind, []).append(component.name)
    return kinds


def _facts(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name, "distribution": plugin.distribution, "version": plugin.version, "module": plugin.module,
        "status": plugin.status, "reason": plugin.reason, "provides": _provides(plugin),
    }  # fmt: skip
