"""The keys of the framework as JSON Schema: `schema.py` as its models and its comments have it."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel

from i2i_forge.recipe import schema
from i2i_forge.recipe.json_schema.components import NO_SUCH_KEY
from i2i_forge.recipe.json_schema.options import NAME, NUMBER, WHOLE, Schema, or_null

_LEFT_OUT = ("title", "required", "minProperties", "default", "properties", "patternProperties", "$defs")


def section_schema(model: type[BaseModel]) -> tuple[Schema, dict[str, Schema]]:
    """A model's schema, and those of the models in it by name. Nothing is required, and every value may be `~`."""
    written = model.model_json_schema()
    root, parts = _plain(written), {name: or_null(_plain(part)) for name, part in written["$defs"].items()}
    for name, part in [(model.__name__, root), *parts.items()]:
        for key, text in _comments(getattr(schema, name)).items():
            part["properties"][key]["description"] = text
    return root, parts


def _plain(node: Any) -> Any:
    """pydantic's schema in the words of this one."""
    if not isinstance(node, dict):
        return [_plain(item) for item in node] if isinstance(node, list) else node
    found = {key: _plain(value) for key, value in node.items() if key not in _LEFT_OUT}
    if "properties" in node:
        found["properties"] = {name: _with_default(value) for name, value in node["properties"].items()}
    for value in node.get("patternProperties", {}).values():
        found |= {"propertyNames": {"pattern": NAME}, "additionalProperties": or_null(_plain(value))}
    if node.get("additionalProperties") is False:
        found["additionalProperties"] = NO_SUCH_KEY
    return found | {"integer": WHOLE, "number": NUMBER}.get(node.get("type", ""), {})


def _with_default(node: Schema) -> Schema:
    default = node.get("default")
    plain = or_null(_plain(node))
    return plain if default in (None, {}) or isinstance(default, dict) else plain | {"default": default}


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """What the comment behind each key says."""
    lines = [re.match(r"    (\w+): .*  # (.*)", line) for line in inspect.getsource(model).splitlines()]
    return {found[1]: f"{found[2][0].upper()}{found[2][1:]}." for found in lines if found}
