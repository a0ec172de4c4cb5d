"""Annotations of options as types: plain ones, Literal, and lists and unions of them. Any other allows every value."""

from __future__ import annotations

import ast
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

_PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


@cache
def option_type(annotation: str | None) -> TypeAdapter[Any]:
    """The values that an annotation, as it is written in a plugin's source, allows."""
    return TypeAdapter(_type(ast.parse(annotation, mode="eval").body) if annotation else Any)


def _type(node: ast.expr) -> Any:
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            either = _type(left), _type(right)
            return Any if Any in either else either[0] | either[1]
        case ast.Constant(value=None):
            return type(None)
        case ast.Name(id=name):
            return _PLAIN.get(name, Any)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            values = tuple(choice.value if isinstance(choice, ast.Constant) else ... for choice in listed)
            return Literal[values] if all(isinstance(value, str | int | None) for value in values) else Any
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]
    return Any
