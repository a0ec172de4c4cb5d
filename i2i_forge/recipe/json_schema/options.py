"""The options of a component as JSON Schema: types from annotations, defaults and texts from its source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from i2i_forge.catalog.vocabulary import Component, Parameter, module_file
from i2i_forge.system.files import read_bytes

Schema = dict[str, Any]
NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
# Numbers are also taken as text, because most editors do not read 100_000 as a number as recipes do.
WHOLE: Schema = {
    "type": ["integer", "string"],
    "pattern": "^[-+]?[0-9]+(_[0-9]+)*$",
    "patternErrorMessage": "This should be a whole number.",
}
NUMBER: Schema = {
    "type": ["number", "string"],
    "pattern": r"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$",
    "patternErrorMessage": "This should be a number.",
}
_PLAIN: dict[str, Schema] = {"int": WHOLE, "float": NUMBER, "str": {"type": "string"}, "bool": {"type": "boolean"}}


def option_schemas(component: Component, file: Path | None) -> dict[str, Schema]:
    """Option -> schema with type, default and text; empty where the options are not known.

    Args:
        component: what the options belong to.
        file: of the plugin, for one that is not an importable module.
    """
    module, _, name = component.origin.rpartition(".")
    source = module_file(module) or file
    texts = option_texts(_docstring(source, name)) if source else {}
    return {option.name: option_schema(option, texts.get(option.name)) for option in component.options or ()}


def option_schema(option: Parameter, text: str | None = None) -> Schema:
    """The schema of one option; `~` is allowed, it takes back what a base says."""
    found = dict(type_schema(option.annotation))
    if text:
        found["description"] = text
    try:
        default = ast.literal_eval(option.default) if option.default is not None else None
    except (ValueError, SyntaxError):
        default = None
    if default is not None:
        found["default"] = default
    return or_null(found)


def type_schema(annotation: str | None) -> Schema:
    """The values that an annotation allows; any, where it is not a plain one."""
    return _type(ast.parse(annotation, mode="eval").body) if annotation else {}


def or_null(schema: Schema) -> Schema:
    """The schema, `~` allowed too; in what a `$ref` leads to it is allowed already."""
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        with_null: Schema = {"type": [*kinds, "null"]}
        if "enum" in schema:
            with_null["enum"] = [*schema["enum"], None]
        return schema | with_null
    for key in ("anyOf", "enum"):
        if key in schema:
            null = None if key == "enum" else {"type": "null"}
            return schema if null in schema[key] else schema | {key: [*schema[key], null]}
    return schema


def option_texts(docstring: str) -> dict[str, str]:
    """What the section `Args:` says of each option: `a, b: text` is said of both."""
    texts: dict[str, str] = {}
    names: list[str] = []
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    lines = section[1].splitlines() if section else []
    margin = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    for line in lines:
        entry = re.match(r"(\w+(?:, \w+)*): (.*)", line[margin:])
        if entry:
            names = entry[1].split(", ")
            texts |= dict.fromkeys(names, entry[2])
        elif line.strip():
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    return texts


@cache
def _docstring(file: Path, name: str) -> str:
    """The docstring of a class or function, followed by that of its constructor."""
    for node in ast.parse(read_bytes(file), str(file)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            inner = node.body if isinstance(node, ast.ClassDef) else []
            made = [n for n in inner if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            return "\n".join(ast.get_docstring(n) or "" for n in (node, *made))
    return ""


def _type(node: ast.expr) -> Schema:
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            either = [_type(left), _type(right)]
            flat = [one for each in either for one in (each.get("anyOf") or [each])]
            return {} if {} in flat else {"anyOf": flat}
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Name(id=name):
            return _PLAIN.get(name, {})
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            values = [choice.value for choice in listed if isinstance(choice, ast.Constant)]
            return {"enum": values} if len(values) == len(listed) else {}
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return {"type": "array", "items": _type(item)}
    return {}
