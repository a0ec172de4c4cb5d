"""A plugin as a whole: which one is meant, and its promises: its hooks are right, and importing it changes nothing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from i2i_forge.catalog.loading import Host, Plugin, find_plugins, read_vocabulary
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import PluginError, suggest
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.testing.recipes import recipe_files


def find_target(target: str, folders: Sequence[str | Path] = ()) -> tuple[list[Plugin], list[Plugin]]:
    """All plugins there are, and those that are meant; nothing is imported.

    Args:
        target: a plugin's name, its file, or the package that brings it.
        folders: of one-file plugins.

    Raises:
        PluginError: there is no such plugin.
    """
    file = Path(target)
    if file.suffix == ".py":
        return _in_file(file, folders)
    plugins = find_plugins(folders)
    chosen = [plugin for plugin in plugins if plugin.name == target]
    chosen = chosen or [p for p in plugins if canonicalize_name(p.distribution) == canonicalize_name(target)]
    if not chosen:
        raise PluginError(f"there is no plugin and no package of plugins '{target}'", fix=_advice(target, plugins))
    return plugins, chosen


def _advice(target: str, plugins: list[Plugin]) -> str:
    """What to do about a target that is none of these plugins."""
    if Path(target).is_dir():
        if (Path(target) / "pyproject.toml").is_file():
            return f"install the package in that folder (pip install -e {target}) and name the package, not the folder"
        return f"that is a folder: name a file in it, or a plugin: forge --plugins {target} plugin check NAME"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        package = importlib.metadata.distribution(target).name
        return (
            f"package '{package}' announces no plugin: give its pyproject.toml the entry point "
            "(`forge plugin new` writes one), then install it anew"
        )
    known = {plugin.name for plugin in plugins} | {plugin.distribution for plugin in plugins if plugin.version}
    return f"install its package (pip install -e FOLDER), or name its file; {suggest(target, known)}"


def _in_file(file: Path, folders: Sequence[str | Path]) -> tuple[list[Plugin], list[Plugin]]:
    if not file.is_file():
        raise PluginError(f"{file}: there is no such file", fix="name a plugin, its file, or its package")
    plugins = find_plugins(folders)
    installed = [plugin for plugin in plugins if plugin.file and plugin.file.resolve() == file.resolve()]
    if installed:
        return plugins, installed
    if file.name.startswith("_"):
        raise PluginError(
            f"{file} belongs to no installed plugin", fix="install its package (pip install -e .) and name that"
        )
    with_neighbours = find_plugins([*folders, file.parent])
    chosen = [plugin for plugin in with_neighbours if plugin.file and plugin.file.resolve() == file.resolve()]
    return [*(p for p in plugins if p.name != chosen[0].name), *chosen], chosen


TIMEOUT = 120  # seconds
PROBE = """\
import json, os, random, sys
out = os.dup(1); os.dup2(2, 1)  # what plugins print must not mix with the answer
import kornia, numpy, torch, torchvision, i2i_forge.engine.build
from pathlib import Path
from i2i_forge.catalog.loading import Host, Plugin, load_plugin
STATE = {
    "torch's default dtype": torch.get_default_dtype, "torch's default device": torch.get_default_device,
    "torch's random state": lambda: torch.get_rng_state().tolist(),
    "numpy's random state": lambda: str(numpy.random.get_state()),
    "Python's random state": random.getstate, "whether gradients are computed": torch.is_grad_enabled,
    "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "torch.backends.cudnn.benchmark": lambda: torch.backends.cudnn.benchmark,
    "torch.backends.cudnn.deterministic": lambda: torch.backends.cudnn.deterministic,
    "the precision of float32 products": torch.get_float32_matmul_precision,
    "the number of torch's threads": torch.get_num_threads, "the working directory": os.getcwd,
}
for name, module, file in json.loads(sys.argv[1]):
    sys.stderr.write("\\0"); sys.stderr.flush()
    before = {what: read() for what, read in STATE.items()}
    plugin = Plugin(name, module, Path(file) if file else None, "", "")
    load_plugin(plugin, Host([]))
    changed = [what for what, read in STATE.items() if read() != before[what]]
    os.write(out, json.dumps([name, plugin.reason if plugin.status != "ok" else "", changed]).encode() + b"\\n")
"""


@dataclass(frozen=True)
class Loaded:
    """A plugin as a whole.

    Attributes:
        plugin: it may be set aside.
        host: that has loaded it.
        importing: what `import_problems` found.
    """

    plugin: Plugin
    host: Host
    importing: Sequence[str] = ()


def usable(loaded: Loaded) -> Iterator[str]:
    """It is found, its hooks are right, and importing it prints and changes nothing."""
    yield from loaded.importing
    if loaded.plugin.status != "ok" and not loaded.importing:
        yield f"it is set aside: {loaded.plugin.reason}"


def recipes(loaded: Loaded) -> Iterator[str]:
    """The recipes that come with it have no mistakes."""
    vocabulary = read_vocabulary(loaded.host.plugins)
    for file in recipe_files(loaded.plugin) if loaded.plugin.distribution != HOST else ():  # ours have their own tests
        try:
            trace_recipe(read_recipe(file, vocabulary=vocabulary), loaded.host.catalog)
        except Exception as error:
            yield f"{file.name}: {type(error).__name__}: {str(error).splitlines()[0]} (`forge check {file}` says more)"


def import_problems(plugins: Sequence[Plugin]) -> dict[str, list[str]]:
    """What happens when plugins are imported in a process of their own: name -> problems.

    Those after one that ends Python or hangs are not tried.
    """
    if not plugins:
        return {}
    asked = json.dumps([[p.name, p.module, str(p.file) if p.file else ""] for p in plugins])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", PROBE, asked]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False, env=environment)
        output, said, ending = done.stdout, done.stderr, f"importing it ends Python (exit code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        output, said, ending = error.stdout or b"", error.stderr or b"", f"importing it hangs (waited {TIMEOUT} s)"
    lines = [json.loads(line) for line in output.splitlines()]
    printed = dict(zip((p.name for p in plugins), said.decode(errors="replace").split("\0")[1:], strict=False))
    problems = {plugin.name: [ending] for plugin in plugins[len(lines) :][:1]}
    for name, reason, changed in lines:
        problems[name] = [f"importing it changes {what}" for what in changed]
        problems[name] += [f"it cannot be loaded: {reason}"] if reason else []
        if text := printed.get(name, "").strip():
            problems[name].append(f"importing it prints: {text.splitlines()[0][:80]}")
    return problems
