"""All checks of a plugin: found by name, file or package, tried component by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_forge.catalog.loading import Host, Plugin, load_plugin
from i2i_forge.errors import PluginError, suggest
from i2i_forge.testing import datasets, formats, losses, metrics, networks, registration, trainers
from i2i_forge.testing.plugins import Loaded, find_target, import_problems, recipes, usable
from i2i_forge.testing.recipes import Method
from i2i_forge.testing.subject import Check, Result, Subject, example_of, run

Checks = Mapping[str, Mapping[str, Any]]  # what a plugin says in CHECKS
KINDS = {
    "encoders": networks, "decoders": networks, "discriminators": networks,
    "losses": losses, "trainers": trainers, "datasets": datasets, "metrics": metrics, "formats": formats,
}  # fmt: skip


def check_plugin(target: str, checks: Checks | None = None, *, folders: Sequence[str | Path] = ()) -> None:
    """Raise AssertionError with everything that is wrong with a plugin; for its own tests.

    Args:
        target: the plugin's name, its file, or its package.
        checks: entries beside (and over) those of the plugin's CHECKS, where they need what only a test has.
        folders: of one-file plugins, as for `forge --plugins`.
    """
    __tracebackhide__ = True  # pytest then shows what is wrong, not this function
    found = [result for result in run_checks(target, checks, folders=folders) if result.problems]
    if found:
        raise AssertionError("\n".join(map(str, found)))


def run_checks(target: str, checks: Checks | None = None, *, folders: Sequence[str | Path] = ()) -> list[Result]:
    """Every check of a plugin, of a file, or of all plugins of a package.

    Raises:
        PluginError: there is no such plugin.
    """
    plugins, chosen = find_target(target, folders)
    imported = import_problems([plugin for plugin in chosen if plugin.status == "found"])
    host = Host(plugins)
    for plugin in plugins:
        if plugin.status == "found" and not _ends_python(imported.get(plugin.name, [])):
            load_plugin(plugin, host)
    return [result for plugin in chosen for result in check_loaded(plugin, host, checks, imported.get(plugin.name, []))]


def check_loaded(
    plugin: Plugin, host: Host, checks: Checks | None = None, importing: Sequence[str] = ()
) -> list[Result]:
    """The checks of one plugin that `host` has loaded, or set aside.

    Args:
        importing: what `import_problems` found.

    Raises:
        PluginError: CHECKS speaks of a component or of a key that there is not.
    """
    whole = Loaded(plugin, host, importing)
    checks_of_all = (usable, recipes) if plugin.status == "ok" else (usable,)
    results = [run(check, whole, plugin=plugin.name, component="") for check in checks_of_all]
    said = {**getattr(host.manager.get_plugin(plugin.name), "CHECKS", {}), **(checks or {})}
    mine = [(r.kind, e) for r in host.catalog.registries() for e in r.entries() if e.plugin == plugin.name]
    known = {name for kind, entry in mine for name in (entry.name, f"{kind}.{entry.name}")}
    for name in said if plugin.status == "ok" else ():
        if name not in known:
            raise PluginError(f"CHECKS: plugin '{plugin.name}' brings no '{name}'", fix=suggest(name, known))
    for kind, entry in mine:
        subject = Subject(kind, entry.name, entry.component, plugin, host, example_of(kind, entry.name, said))
        results += check_component(subject)
    return results


def check_component(subject: Subject) -> list[Result]:
    """Every check of a component. What cannot be called is not tried further."""
    component = f"{subject.kind}: {subject.name}"
    kind = KINDS[subject.kind]
    tried = Method(subject) if subject.kind == "trainers" else subject

    def result(check: Check, what: object, skipped: str = "") -> Result:
        reason = subject.example.skip.get(check.__name__, skipped)
        return run(check, what, plugin=subject.plugin.name, component=component, skipped=reason)

    results = [result(check, subject) for check in registration.CHECKS]
    results += [result(check, tried) for check in getattr(kind, "STATIC", ())]
    first = result(kind.runs, tried)
    stopped = "it does not run" if first.problems else f"it is not run: {first.skipped}" if first.skipped else ""
    return [*results, first, *(result(check, tried, stopped) for check in kind.CHECKS)]


def _ends_python(problems: Sequence[str]) -> bool:
    return any(problem.startswith(("importing it ends Python", "importing it hangs")) for problem in problems)
