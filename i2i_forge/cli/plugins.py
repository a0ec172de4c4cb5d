"""forge plugins"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from i2i_forge.catalog.loading import Plugin, find_plugins
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.catalog.vocabulary import Component
from i2i_forge.cli.common import json_option, note, print_json, print_table, say
from i2i_forge.errors import PluginError, suggest

PROBE_TIMEOUT = 60  # seconds
PROBE = """\
import json, os, sys
out = os.dup(1); os.dup2(2, 1)  # what plugins print must not mix with the answer
from i2i_forge.catalog.loading import Host, load_plugin
from i2i_forge.cli.plugins import found
for plugin in found(sys.argv[2:]):
    if plugin.name not in json.loads(sys.argv[1]):
        os.write(out, json.dumps([plugin.name]).encode() + b"\\n")
        load_plugin(plugin, host := Host([]))
        provides = {registry.kind: list(registry) for registry in host.catalog.registries() if len(registry)}
        facts = [plugin.name, plugin.status, plugin.reason, plugin.detail, provides]
        os.write(out, json.dumps(facts).encode() + b"\\n")
"""


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
    if not plugins:
        note("no plugins: FORGE_PLUGINS chooses none")
        return
    rows = []
    for plugin in plugins:
        provides = "\n".join(f"{kind}: {', '.join(names)}" for kind, names in _provides(plugin).items())
        status = plugin.status if not plugin.reason else f"{plugin.status}: {plugin.reason}"
        origin = f"{plugin.distribution} {plugin.version}".strip()
        rows.append((plugin.name, origin, status, provides or ("hooks" if status == "ok" else "")))
    print_table("plugin", "from", "status", "provides", rows=rows)


def found(folders: Sequence[str | Path]) -> list[Plugin]:
    """Other people's plugins, not yet imported."""
    return [p for p in find_plugins(folders) if p.status == "found" and p.distribution != HOST]


def _try_foreign(plugins: list[Plugin], folders: tuple[Path, ...]) -> None:
    """Import the plugins that are not ours in another process; ours have been read and are covered by our tests."""
    untried = {plugin.name: plugin for plugin in plugins if plugin.status == "found"}
    for name in [name for name, plugin in untried.items() if plugin.distribution == HOST]:
        untried.pop(name).status = "ok"
    skip: list[str] = []
    while untried:
        lines, ending = _probe(skip, folders)
        begun = [name for name, *outcome in lines if not outcome]
        for name, *outcome in lines:
            if outcome and name in untried:
                plugin = untried.pop(name)
                plugin.status, plugin.reason, plugin.detail, live = outcome
                plugin.provides = plugin.provides if plugin.complete else _components(plugin, live)
        culprits = [name for name in begun[-1:] if name in untried] or list(untried)  # it died in the last one it began
        for name in culprits:
            untried.pop(name).set_aside("broken", ending)
        skip += [*begun, *culprits]


def _probe(skip: list[str], folders: tuple[Path, ...]) -> tuple[list[list[Any]], str]:
    """What PROBE wrote about the plugins that are not in `skip`, and how it ended."""
    command_line = [sys.executable, "-c", PROBE, json.dumps(skip), *map(str, folders)]
    try:
        done = subprocess.run(command_line, capture_output=True, timeout=PROBE_TIMEOUT, check=False)
        output, ending = done.stdout, f"importing it ends Python (exit code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        output, ending = error.stdout or b"", f"importing it hangs (waited {PROBE_TIMEOUT} s)"
    return [json.loads(line) for line in output.splitlines()], ending


def _components(plugin: Plugin, live: dict[str, list[str]]) -> list[Component]:
    """What a plugin has registered, when its source does not tell."""
    return [Component(kind, name, plugin.name, plugin.module) for kind, names in live.items() for name in names]


def _explain(plugins: list[Plugin], name: str) -> None:
    for plugin in plugins:
        if plugin.name == name:
            say(f"{plugin.name}: {plugin.status}{f', {plugin.reason}' if plugin.reason else ''}")
            say(plugin.detail, nl=False)
            return
    raise PluginError(f"there is no plugin '{name}'", fix=suggest(name, [p.name for p in plugins], what="plugin"))


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
