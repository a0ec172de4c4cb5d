"""forge plugins"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import click

from i2i_forge.catalog.loading import Plugin, find_plugins
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.catalog.vocabulary import Component
from i2i_forge.cli import json_option
from i2i_forge.cli.common import note, plugin_folders, print_json, print_table, say
from i2i_forge.errors import PluginError, suggest

PROBE_TIMEOUT = 60  # seconds
PROBE = """\
import json, os, sys
out = os.dup(1); os.dup2(2, 1)  # what plugins print must not mix with the answer
from pathlib import Path
from i2i_forge.catalog.loading import Host, Plugin, load_plugin
os.write(out, b"null\\n")
for name, module, file in json.load(sys.stdin):
    load_plugin(plugin := Plugin(name, module, Path(file) if file else None, "", ""), host := Host([]))
    provides = [(registry.kind, name) for registry in host.catalog.registries() for name in registry]
    facts = plugin.status, plugin.reason, plugin.detail, provides
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
        _list(as_json, why)


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List plugins and what they provide."""
    _list(as_json, None)


def _list(as_json: bool, why: str | None) -> None:
    plugins = find_plugins(plugin_folders())
    try_foreign(plugins)
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


def try_foreign(plugins: Sequence[Plugin]) -> None:
    """Import the plugins that are not ours in another process; ours have been read and are covered by our tests."""
    untried = [plugin for plugin in plugins if plugin.status == "found" and plugin.distribution != HOST]
    for plugin in plugins:
        plugin.status = "ok" if plugin.status == "found" else plugin.status
    while untried:
        outcomes, ending = _probe(untried)
        for plugin, (status, reason, detail, live) in zip(untried, outcomes, strict=False):
            plugin.status, plugin.reason, plugin.detail = status, reason, detail
            if not plugin.complete:  # its source does not tell what it registers
                plugin.provides = [Component(kind, name, plugin.name, plugin.module) for kind, name in live]
        for plugin in untried[len(outcomes) :][:1]:  # the process died in this one
            plugin.set_aside("broken", ending)
        untried = untried[len(outcomes) + 1 :]


def _probe(plugins: Sequence[Plugin]) -> tuple[list[list[Any]], str]:
    """What PROBE wrote about the plugins, one after the other, and how it ended."""
    asked = json.dumps([[p.name, p.module, str(p.file) if p.file else ""] for p in plugins])
    command_line = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(
            command_line, input=asked.encode(), capture_output=True, timeout=PROBE_TIMEOUT, check=False
        )
        output, ending = done.stdout, f"importing it ends Python (exit code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        output, ending = error.stdout or b"", f"importing it hangs (waited {PROBE_TIMEOUT} s)"
    lines = [json.loads(line) for line in output.splitlines()]
    if not lines:  # it ended before the first of them, and would do so again
        return [["broken", ending, "", []] for _ in plugins], ending
    return lines[1:], ending


def _explain(plugins: list[Plugin], name: str) -> None:
    for plugin in plugins:
        if plugin.name == name:
            say(f"{plugin.name}: {plugin.status}{f', {plugin.reason}' if plugin.reason else ''}")
            say(plugin.detail, nl=False)
            return
    raise PluginError(f"there is no plugin '{name}'", fix=suggest(name, [p.name for p in plugins], what="plugin"))


def _provides(plugin: Plugin) -> dict[str, list[str]]:
    kinds = dict.fromkeys(component.kind for component in plugin.provides)
    return {kind: [component.name for component in plugin.provides if component.kind == kind] for kind in kinds}


def _facts(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name, "distribution": plugin.distribution, "version": plugin.version, "module": plugin.module,
        "status": plugin.status, "reason": plugin.reason, "provides": _provides(plugin),
    }  # fmt: skip
