"""All checks of a plugin, found by name, file or package; and what every component promises, whatever its kind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from i2i_forge.catalog.loading import Host, Plugin, load_plugin
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import PluginError, suggest
from i2i_forge.measure import Metric
from i2i_forge.testing import datasets, files, formats, losses, metrics, networks, trainers
from i2i_forge.testing.plugins import Loaded, find_target, import_problems, recipes, usable
from i2i_forge.testing.recipes import Method
from i2i_forge.testing.subject import Check, Result, Subject, example_of, run

Checks = Mapping[str, Mapping[str, Any]]  # what a plugin says in CHECKS
FATAL = ("importing it ends Python", "importing it hangs")  # of `import_problems`
LEGAL = re.compile(r"[a-z][a-z0-9_-]*")
BASES = (object, nn.Module, Trainer, Metric)
BUILT_BY_THE_FRAMEWORK = (
    "trainers",
    "metrics",
    "formats",
    "files",
)  # their constructors' arguments are nobody's options
KINDS = {
    "encoders": networks, "decoders": networks, "discriminators": networks,
    "losses": losses, "trainers": trainers, "datasets": datasets, "metrics": metrics, "formats": formats,
    "files": files,
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
        fatal = [said for said in imported.get(plugin.name, []) if said.startswith(FATAL)]
        if plugin.status == "found" and not fatal:
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

    results = [result(check, subject) for check in (legal_name, documented, documented_options, readable_options)]
    results += [result(check, tried) for check in getattr(kind, "STATIC", ())]
    first = result(kind.runs, tried)
    stopped = "it does not run" if first.problems else f"it is not run: {first.skipped}" if first.skipped else ""
    return [*results, first, *(result(check, tried, stopped) for check in kind.CHECKS)]


def legal_name(subject: Subject) -> Iterator[str]:
    """Its name is lower-case, of letters, digits, _ and -."""
    if not LEGAL.fullmatch(subject.name):
        yield f"the name '{subject.name}' is not made of lower-case letters, digits, _ and - (and a letter first)"


def documented(subject: Subject) -> Iterator[str]:
    """Its docstring says in the first line what it is."""
    text = (inspect.getdoc(subject.component) or "").strip()
    if not text or text in [inspect.getdoc(base) for base in BASES]:
        yield "it has no docstring: write one whose first line says what it is; `forge plugins` and editors show it"


def documented_options(subject: Subject) -> Iterator[str]:
    """Its docstring explains every option."""
    text = inspect.getdoc(subject.component) or ""
    for option in _options(subject):
        if not re.search(rf"\b{re.escape(option)}\b[^:\n]*:", text):
            yield f"the docstring does not explain the option '{option}': write a line `{option}: ...` under `Args:`"


def readable_options(subject: Subject) -> Iterator[str]:
    """Its options can be read from its source, so that a recipe is checked before anything is imported."""
    wanted = (subject.kind, subject.name)
    described = next((c for c in subject.plugin.provides if (c.kind, c.name) == wanted), None)
    if described is None:
        yield (
            f"it cannot be read from the source that it is registered: write catalog.{subject.kind}.add"
            f'("{subject.name}", ...) in register_components, with the name as it is'
        )
    elif described.options is None and subject.kind not in BUILT_BY_THE_FRAMEWORK:
        yield (
            "its options cannot be read from its source: define it in the plugin's file (or import it there from a "
            "module of the same package), without decorator, *args and **kwargs"
        )
    elif subject.kind == "trainers" and None in (described.roles, described.routes, described.tensors):
        yield "its roles, routes or tensors cannot be read from its source: write them out in the class"


def _options(subject: Subject) -> list[str]:
    """The names of the constructor's parameters; a loss's tensors are no options."""
    if subject.kind in BUILT_BY_THE_FRAMEWORK:
        return []
    parameters = inspect.signature(subject.component).parameters.values()
    is_loss = subject.kind == "losses" and not inspect.isclass(subject.component)
    return [p.name for p in parameters if not (is_loss and p.default is p.empty and p.kind is not p.KEYWORD_ONLY)]
