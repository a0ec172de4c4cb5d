"""Which recipe a run is of: the settings that make its numbers, and whether they were edited since it was trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from i2i_forge.recipe.reading import Recipe
from i2i_forge.system.files import printable

FREE, FREE_DATA = ("steps", "run"), ("workers", "timeout")  # sections, and keys of `data`, that change no number
PLACE = "root"  # of `data`: may differ when a run is resumed, as its images may have moved
SHOWN, LONGEST = 3, 100  # differences in one message, and characters of a value


def settings_of(recipe: Recipe, *, defaults: bool = True, places: bool = False) -> dict[str, Any]:
    """The settings that make the numbers, by dotted key.

    Args:
        recipe: whose they are.
        defaults: whether those are in it that are as by default.
        places: whether the folders of images are in it: other images would make other numbers.
    """
    flat: dict[str, Any] = {}
    free = FREE_DATA if places else (*FREE_DATA, PLACE)

    def walk(value: Any, keys: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*keys, key))
        elif keys[0] not in FREE and not (keys[0] == "data" and keys[-1] in free):
            flat[".".join(keys)] = value

    walk(recipe.model_dump(mode="json", exclude_defaults=not defaults), ())
    return flat


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
