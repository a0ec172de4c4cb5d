"""What a run is of: the settings that make its numbers, whether they were edited since, and who brought its components.

Here alone stands what changes no number of a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from i2i_forge.catalog.loading import Host
from i2i_forge.catalog.registry import Catalog
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.schema import flattened
from i2i_forge.system.files import printable

FREE, FREE_DATA = ("steps", "run"), ("workers", "timeout", "cache")  # sections, and keys of `data`: change no number
FREE_DOMAINS = ("display", "write")  # of each of `domains`: how images are shown and written
MOVABLE = ("root", "files", "split")  # of `data`: may differ when a run is resumed, as its images may have moved
SHOWN, LONGEST = 3, 100  # differences in one message, and characters of a value


def settings_of(recipe: Recipe, *, defaults: bool = True, places: bool = False) -> dict[str, Any]:
    """The settings that make the numbers, by dotted key.

    Args:
        recipe: whose they are.
        defaults: whether those are in it that are as by default.
        places: whether the folders of images are in it: other images would make other numbers.
    """
    free = FREE_DATA if places else (*FREE_DATA, *MOVABLE)
    found = {}
    for name, value in flattened(recipe.model_dump(mode="json", exclude_defaults=not defaults)):
        keys = name.split(".")
        is_free = {
            "data": any(key in free for key in keys[1:]),
            "domains": any(key in FREE_DOMAINS for key in keys[2:]),
        }
        if keys[0] not in FREE and not is_free.get(keys[0]) and value != {}:
            found[name] = value
    return found


def fingerprint(recipe: Recipe) -> str:
    """SHA-256 of the settings that make the numbers. Settings that later versions add do not change it."""
    settings = {key: _plain(value) for key, value in settings_of(recipe, defaults=False).items()}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def identity(recipe: Recipe) -> dict[str, Any]:
    """What a checkpoint remembers of its recipe."""
    return {"recipe_sha256": fingerprint(recipe), "settings": settings_of(recipe)}


def differences(before: Mapping[str, Any], now: Mapping[str, Any], *, then: str = "there", here: str = "here") -> str:
    """What differs between two runs' settings: "seed: 0 there, 3 here". Empty when nothing does."""
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    shown = [f"{key}: {_shown(before.get(key))} {then}, {_shown(now.get(key))} {here}" for key in changed[:SHOWN]]
    return "; ".join([*map(printable, shown), *([f"and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else [])])


def edits(state: Mapping[str, Any], recipe: Recipe) -> str:
    """What was edited in a run's recipe since the checkpoint with this `state` was written.

    Empty when nothing was, or when an older version wrote the checkpoint, which does not tell.
    """
    if state.get("recipe_sha256") in (None, fingerprint(recipe)):
        return ""
    before, unknown = state.get("settings"), "what differs is not known"
    if not isinstance(before, dict):  # a stranger's
        return unknown
    return differences(before, settings_of(recipe), then="when it was trained", here="now") or unknown


def _shown(value: Any) -> str:
    return " ".join(str(value).split())[:LONGEST]


def _plain(value: Any) -> Any:
    """Numbers that are equal, written alike."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plugin_versions(host: Host) -> dict[str, str]:
    """The plugins that work -> "package version"; a one-file plugin's folder."""
    return {p.name: f"{p.distribution} {p.version}".strip() for p in host.plugins if p.status == "ok"}


def attribution(recipe: Recipe, host: Host) -> dict[str, str]:
    """The recipe's components -> "plugin (package version)".

    A component is named as the recipe names it: "losses.l1", "losses.my_plugin:l1". Raises PluginError when it is not
    there.
    """
    versions, found = plugin_versions(host), {}
    for kind, name in _components(recipe, host.catalog):
        plugin = getattr(host.catalog, kind).entry(name).plugin
        found[f"{kind}.{name}"] = f"{plugin} ({versions[plugin]})" if plugin in versions else plugin
    return found


def _components(recipe: Recipe, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Kind and name of all that is built; a term of weight 0 is not."""
    yield "trainers", recipe.trainer
    yield from (("datasets", stream.use) for stream in recipe.data.streams.values())
    for role, kind in catalog.trainers.get(recipe.trainer).roles.items():
        if role in recipe.networks:
            yield from ((kind, spec.use) for spec in recipe.networks[role].built().values())
    for phase in recipe.phases:
        for lines in recipe.terms(phase).values():
            yield from (("losses", term.loss) for term in lines.values() if not term.weight.is_zero)
