"""What in a recipe's data has the wrong shape: unknown and missing keys, values of the wrong type or out of range."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from i2i_forge.errors import suggest
from i2i_forge.recipe.check_components import Problem, mapping, streams
from i2i_forge.recipe.domains import PARTS, Domain
from i2i_forge.recipe.schema import Data, Phase, RecipeModel, RunSettings
from i2i_forge.recipe.yaml_source import Keys


def shape_problems(data: dict[str, Any]) -> list[Problem]:
    """What pydantic finds, in plain words; of two remarks on one value, as for a union, the one that looks deeper."""
    found: dict[Keys, str] = {}
    sections: list[tuple[Keys, type[BaseModel], Any]] = [((), RecipeModel, data)]
    sections += [(keys, Data, stream) for keys, stream in streams(data) if len(keys) > 1]
    for at, model, section in sections:
        try:
            model.model_validate(section)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                keys, text = _explain(data, at, dict(one))
                found.setdefault(keys, text)
    looked_into = {keys[:depth] for keys in found for depth in range(len(keys))}
    return [(keys, text) for keys, text in found.items() if keys not in looked_into]


def _explain(data: dict[str, Any], at: Keys, error: dict[str, Any]) -> tuple[Keys, str]:
    """A pydantic error as place and words; `loc` holds names of a union's members too, which are no keys."""
    keys: Keys = at
    here: Any = mapping(data, *map(str, at))
    for part in error["loc"]:
        if isinstance(here, dict | list) and part in (here if isinstance(here, dict) else range(len(here))):
            keys, here = (*keys, part), here[part]
    if error["type"] == "extra_forbidden":
        return keys, f"there is no such key; {suggest(str(keys[-1]), _known_keys(keys[:-1]), what='key')}"
    if error["type"] == "missing":
        return (*keys, error["loc"][-1]), "this key is missing" + _or_misspelt(data, keys)
    if error["type"] == "too_short":
        return keys, "should not be empty"
    got = error.get("input")
    shown = "a list" if isinstance(got, list) else "a mapping" if isinstance(got, dict) else repr(got)[:60]
    return keys, f"should be {_WANTED.get(error['type']) or error['msg'].removeprefix('Input should be ')}, not {shown}"


def _or_misspelt(data: dict[str, Any], keys: Keys) -> str:
    """A new phase says what it trains; one that does not may be another's name with a slip."""
    others = [name for name in mapping(data, "phases") if keys[:1] == ("phases",) and name != keys[-1]]
    return f"; if this is no new phase: {suggest(str(keys[-1]), others, what='phase')}" if others else ""


def _known_keys(keys: Keys) -> list[str]:
    match keys:
        case ("run",):
            return list(RunSettings.model_fields)
        case ("phases", _):
            return list(Phase.model_fields)
        case ("domains", _, *inner):
            names = [key for key in inner if isinstance(key, str)]
            model = PARTS.get(names[-1], Domain) if names else Domain
            return [field.alias or name for name, field in model.model_fields.items()]
    return [*RecipeModel.model_fields, "base"]


_WANTED = {  # pydantic's name of an error -> what the value should be
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "list_type": "a list, [one, two]",
    "dict_type": "a mapping, {key: value}",
    "model_type": "a mapping, {key: value}",
    "string_pattern_mismatch": "a name of letters, digits and _",
}
