"""Finding, loading and isolating plugins.

A plugin is a module (or an object) with hook implementations, announced in the entry-point group `i2i_forge`, or one
file in a `--plugins` folder. A plugin that cannot be used is set aside with the reason; everything else still works.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from i2i_forge.catalog import hookspecs
from i2i_forge.catalog.obstacles import about_distribution, hook_problem, missing_imports
from i2i_forge.catalog.registry import Catalog
from i2i_forge.catalog.signatures import module_file
from i2i_forge.catalog.vocabulary import Component, Vocabulary, read_plugin
from i2i_forge.errors import ForgeError, PluginError, suggest
from i2i_forge.system.files import read_bytes

GROUP = "i2i_forge"


@dataclass
class Plugin:
    """A plugin that was found: where it comes from, and whether it can be used."""

    name: str
    module: str  # what to import; "module:object" is allowed
    file: Path | None
    distribution: str
    version: str
    status: str = "found"  # found | ok | broken | skipped
    reason: str = ""
    detail: str = ""  # the traceback of a broken plugin
    provides: list[Component] = field(default_factory=list)
    complete: bool = True

    def set_aside(self, status: str, reason: str, detail: str = "") -> None:
        """Mark as not usable."""
        self.status, self.reason, self.detail = status, reason, detail


class Host:
    """The loaded plugins: their catalog and their hooks."""

    def __init__(self, plugins: list[Plugin]) -> None:
        self.plugins = plugins
        self.catalog = Catalog()
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)

    def call(self, hook: str, **arguments: Any) -> list[tuple[str, Exception | SystemExit]]:
        """Call a hook of every plugin; one that fails is not called again, and is returned with its error.

        The order is pluggy's: the last that was loaded first, `hookimpl(tryfirst=True)` before all others. What they
        print goes to stderr.
        """
        failed: list[tuple[str, Exception | SystemExit]] = []
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except (Exception, SystemExit) as error:
                failed.append((implementation.plugin_name, error))
                self.manager.unregister(name=implementation.plugin_name)
        return failed

    def observers(self) -> set[str]:
        """The plugins that have a hook of a run."""
        hooks = [hook for name, hook in vars(self.manager.hook).items() if name != "register_components"]
        return {implementation.plugin_name for hook in hooks for implementation in hook.get_hookimpls()}

    def require_observers(self, names: Iterable[str]) -> None:
        """Raise PluginError for the first of a recipe's `run.observers` that cannot watch a run."""
        known, there_are = {plugin.name: plugin for plugin in self.plugins}, self.observers()
        for name in names:
            if name in known and known[name].status != "ok":
                raise PluginError(
                    f"run.observers: plugin '{name}' cannot be used: {known[name].reason.splitlines()[0]}",
                    fix=f"`forge plugins --why {name}` tells more; or take it out of run.observers",
                )
            if name not in known or (self.manager.has_plugin(name) and name not in there_are):
                hint = suggest(name, there_are, what="observer")
                raise PluginError(f"run.observers: there is no observer '{name}'", fix=hint)


def find_plugins(folders: Sequence[str | Path] = ()) -> list[Plugin]:
    """Every plugin there is, without importing any; those that cannot work are marked `skipped` or `broken`."""
    plugins, about = [], functools.cache(about_distribution)
    for point in importlib.metadata.entry_points(group=GROUP):
        distribution, version, obstacle = about(point.dist)
        plugins.append(Plugin(point.name, point.value, None, distribution, version))
        if obstacle:
            plugins[-1].set_aside("skipped", obstacle)
    plugins.sort(key=lambda plugin: (plugin.distribution, plugin.name))
    for folder in {Path(folder).resolve(): Path(folder) for folder in folders}.values():
        plugins += _one_file_plugins(folder)
    only = os.environ.get("FORGE_PLUGINS")
    if only is not None:
        plugins = _selected(plugins, [name.strip() for name in only.split(",") if name.strip()])
    homes: dict[str, list[str]] = {}
    for plugin in plugins:
        homes.setdefault(plugin.name, []).append(plugin.distribution)
    for plugin in plugins:
        if plugin.status == "found":
            _read(plugin)
        if len(twins := homes[plugin.name]) > 1:
            plugin.set_aside(
                "broken", f"the name '{plugin.name}' is used by {' and '.join(twins)}; remove or rename one"
            )
    return plugins


def read_vocabulary(plugins: Iterable[Plugin]) -> Vocabulary:
    """What the usable plugins provide, from their source."""
    usable: list[Plugin] = []
    aside: list[Plugin] = []
    for plugin in plugins:
        (usable if plugin.status in ("found", "ok") else aside).append(plugin)
    return Vocabulary(
        [component for p in usable for component in p.provides],
        all(p.complete for p in usable),
        [(component, p.reason) for p in aside for component in p.provides],
    )


def load_plugins(folders: Sequence[str | Path] = ()) -> Host:
    """Import the plugins and let them register. A broken one is set aside (`Plugin.reason`), the rest works."""
    host = Host(find_plugins(folders))
    for plugin in host.plugins:
        if plugin.status == "found":
            load_plugin(plugin, host)
        if plugin.status != "ok":
            for component in plugin.provides:
                lost = f"'{plugin.name}', which cannot be used: {plugin.reason.splitlines()[0]}"
                getattr(host.catalog, component.kind).lost[component.name] = lost
    return host


def _one_file_plugins(folder: Path) -> list[Plugin]:
    if not folder.is_dir():
        there_is = "it is a file" if folder.is_file() else "there is no such folder"
        raise PluginError(f"--plugins {folder}: {there_is}", fix="name a folder that holds plugin files")
    files = sorted(f for f in folder.glob("*.py") if not f.name.startswith(("_", ".")))
    return [Plugin(f.stem, f"i2i_forge_local_{f.stem}", f, f"{folder}{os.sep}", "") for f in files]


def _selected(plugins: list[Plugin], names: list[str]) -> list[Plugin]:
    known = {plugin.name for plugin in plugins}
    for name in names:
        if name not in known:
            raise PluginError(f"FORGE_PLUGINS: there is no plugin '{name}'", fix=suggest(name, known, what="plugin"))
    return [plugin for plugin in plugins if plugin.name in names]


def _read(plugin: Plugin) -> None:
    """Fill in what the plugin provides from its source; catch what would fail at import as far as can be seen."""
    module, _, attribute = plugin.module.partition(":")
    plugin.complete = False
    try:
        plugin.file = plugin.file or module_file(module)
        if plugin.file is None:
            if importlib.util.find_spec(module.partition(".")[0]) is None:
                fix = f"mend the entry point in the pyproject.toml of {plugin.distribution}, and reinstall it"
                plugin.set_aside("broken", f"module '{module}' cannot be found; {fix}")
            return
        tree = ast.parse(read_bytes(plugin.file), str(plugin.file))
        if not attribute:
            plugin.provides, plugin.complete = read_plugin(plugin.name, module, plugin.file, tree)
        if problem := missing_imports(tree) or (None if attribute else hook_problem(tree)):
            plugin.set_aside(*problem)
    except SyntaxError as error:
        plugin.set_aside("broken", f"SyntaxError: {error.msg} ({plugin.file}, line {error.lineno})")
    except Exception as error:  # Python's parser ends in many ways on what is no program
        plugin.set_aside("broken", f"{type(error).__name__}: {error}".strip(": ") + f" ({plugin.file})")


def load_plugin(plugin: Plugin, host: Host) -> None:
    """Import a plugin and let it register; what it prints goes to stderr. It is set aside when that fails."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            _register(plugin, _import(plugin), host)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".strip(": ") + _place(plugin, error)
        plugin.set_aside("broken", reason, traceback.format_exc())
    if plugin.status != "ok":
        host.manager.unregister(name=plugin.name) if host.manager.has_plugin(plugin.name) else None
        host.catalog.discard(plugin.name)


def _place(plugin: Plugin, error: BaseException) -> str:
    """The line of the plugin's own file that an error came from, where that helps."""
    own = str(plugin.file and plugin.file.absolute())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" ({plugin.file}, line {lines[-1]})" if lines and not isinstance(error, ForgeError) else ""


def _register(plugin: Plugin, module: Any, host: Host) -> None:
    api = getattr(module, "FORGE_API", hookspecs.FORGE_API)
    if api != hookspecs.FORGE_API:
        plugin.set_aside("skipped", f"it is written for FORGE_API {api}, this is {hookspecs.FORGE_API}")
        return
    host.manager.register(module, plugin.name)
    host.manager.check_pending()  # a misspelt hook is otherwise ignored in silence
    host.catalog.registering(plugin.name)
    register = getattr(module, "register_components", None)
    if register is not None:
        register(host.catalog)
    plugin.status = "ok"


def _import(plugin: Plugin) -> Any:
    if plugin.module.startswith("i2i_forge_local_") and plugin.file:
        spec = importlib.util.spec_from_file_location(plugin.module, plugin.file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[plugin.module] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[plugin.module]
            raise
        return module
    name, _, attribute = plugin.module.partition(":")
    module = importlib.import_module(name)
    return getattr(module, attribute) if attribute else module
