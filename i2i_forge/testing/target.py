"""Which plugin is meant by a name, a file or a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from i2i_forge.errors import PluginError, suggest
from i2i_forge.plugins import Plugin, find_plugins


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
        known = {plugin.name for plugin in plugins} | {plugin.distribution for plugin in plugins if plugin.version}
        raise PluginError(
            f"there is no plugin and no package of plugins '{target}'",
            fix=f"{suggest(target, known)}. A package must be installed (pip install -e .); a file ends in .py",
        )
    return plugins, chosen


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
