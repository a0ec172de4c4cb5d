"""Which plugin is meant by a name, a file or a package."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from i2i_forge.catalog.loading import Plugin, find_plugins
from i2i_forge.errors import PluginError, suggest


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
