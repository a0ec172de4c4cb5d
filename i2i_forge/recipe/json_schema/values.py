"""Single values as JSON Schema: what an option's annotation allows, with its default and its text."""

from __future__ import annotations

import ast
from typing import Any

from i2i_forge.catalog.signatures import Parameter
from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.recipe.check_components import annotation_of, option_type

Schema = dict[str, Any]
NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
NO_SUCH_KEY: Schema = {"type": "null", "errorMessage": "There is no such key; only `~` may stand here."}
# Numbers are also taken as text, because most editors do not read 100_000 as a number as recipes do.
_NUMBERS: dict[str, Schema] = {
    "integer": {
        "type": ["integer", "string"],
        "pattern": "^[-+]?[0-9]+(_[0-9]+)*$",
        "patternErrorMessage": "This should be a whole number.",
    },
    "number": {
        "type": ["number", "string"],
        "pattern": r"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$",
        "patternErrorMessage": "This should be a number.",
    },
}
_LEFT_OUT = ("title", "required", "minProperties", "default", "properties", "patternProperties", "$defs", "const")


def option_schema(option: Parameter, kind: str) -> Schema:
    """The schema of an option of a component of this kind; `~` is allowed, it takes back what a base says."""
    found = type_schema(annotation_of(option, kind))
    if option.text:
        found["description"] = option.text
    try:
        default = ast.literal_eval(option.default) if option.default is not None else None
    except (ValueError, SyntaxError):
        default = None
    return or_null(found if default is None else found | {"default": default})


def type_schema(annotation: str | None) -> Schema:
    """The values that an annotation allows; any, where it is not a plain one."""
    return plain(option_type(annotation).json_schema())  # type: ignore[no-any-return]


def plain(node: Any) -> Any:
    """pydantic's schema in the words of this one: nothing is required, and every value of a key may be `~`."""
    if not isinstance(node, dict):
        return [plain(item) for item in node] if isinstance(node, list) else node
    found = {key: plain(value) for key, value in node.items() if key not in _LEFT_OUT}
    if "properties" in node:
        found["properties"] = {name: _with_default(value) for name, value in node["properties"].items()}
    for value in node.get("patternProperties", {}).values():
        found |= {"propertyNames": {"pattern": NAME}, "additionalProperties": or_null(plain(value))}
    if node.get("additionalProperties") is False:
        found["additionalProperties"] = NO_SUCH_KEY
    if "const" in node:
        found["enum"] = [node["const"]]
    return found | _NUMBERS.get(node.get("type", ""), {})


def or_null(schema: Schema) -> Schema:
    """The schema, `~` allowed too; in what a `$ref` leads to it is allowed already."""
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        null = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return schema | {"type": [*dict.fromkeys([*kinds, "null"])]} | null
    for key, null_of in (("anyOf", {"type": "null"}), ("enum", None)):
        if key in schema:
            return schema if null_of in schema[key] else schema | {key: [*schema[key], null_of]}
    return schema


def named(vocabulary: Vocabulary, component: Component, key: str = "use") -> Schema:
    """What a mapping is like whose key names the component."""
    return {"properties": {key: {"enum": vocabulary.called(component)}}, "required": [key]}


def _with_default(node: Schema) -> Schema:
    default, found = node.get("default"), or_null(plain(node))
    return found if default is None or isinstance(default, dict) else found | {"default": default}
