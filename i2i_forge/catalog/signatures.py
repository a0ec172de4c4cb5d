"""Signatures of classes and functions, read from their source without importing it."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_forge.system.files import read_bytes


@dataclass(frozen=True)
class Parameter:
    """An option of a component: a parameter of its constructor (or of its function)."""

    name: str
    annotation: str | None
    default: str | None  # source text; None: required
    text: str = ""  # what the docstring says of it


def module_file(module: str) -> Path | None:
    """The source file of a module, found without importing its parents' code."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    for depth in range(len(rest)):
        locations = spec.submodule_search_locations if spec else None
        if not locations:
            return None
        spec = importlib.machinery.PathFinder.find_spec(".".join([top, *rest[: depth + 1]]), list(locations))
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def definitions(tree: ast.Module) -> dict[str, Any]:
    """The classes and functions of a module's top level."""
    return {n.name: n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}


def class_options(module: str, name: str) -> tuple[Parameter, ...] | None:
    """The options of a class in a module that is not imported for it; None where they cannot be read."""
    file = module_file(module)
    node = definitions(ast.parse(read_bytes(file))).get(name) if file else None
    return signature(node, is_loss=False)[0] if node else None


def signature(
    node: ast.ClassDef | ast.FunctionDef, *, is_loss: bool
) -> tuple[tuple[Parameter, ...] | None, int | None]:
    """The options, and for a loss the number of tensors it takes. A decorator may change both."""
    if node.decorator_list:
        return None, None
    if isinstance(node, ast.FunctionDef):
        parameters = _parameters(node.args, node)
        if not is_loss or parameters is None:
            return parameters, None
        by_name = {a.arg for a in node.args.kwonlyargs}
        options = tuple(p for p in parameters if p.default is not None or p.name in by_name)
        return options, len(parameters) - len(options)
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    call = methods.get("forward") or methods.get("__call__")
    takes = _parameters(call.args, skip=1) if call and is_loss else None
    count = len(takes) if takes is not None and all(p.default is None for p in takes) else None
    if "__init__" not in methods:
        return (None if node.bases else ()), count
    return _parameters(methods["__init__"].args, node, methods["__init__"], skip=1), count


def _parameters(
    arguments: ast.arguments, *described: ast.ClassDef | ast.FunctionDef, skip: int = 0
) -> tuple[Parameter, ...] | None:
    """The parameters without the first `skip`; their texts are in the docstrings of `described`."""
    if arguments.kwarg or arguments.vararg:
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    required = [None] * (len(positional) - len(arguments.defaults))
    given = [*positional, *arguments.kwonlyargs][skip:]
    defaults = [*required, *arguments.defaults, *arguments.kw_defaults][skip:]
    texts = option_texts("\n".join(ast.get_docstring(node) or "" for node in described))
    return tuple(
        Parameter(a.arg, _source(a.annotation), _source(default), texts.get(a.arg, ""))
        for a, default in zip(given, defaults, strict=True)
    )


def _source(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)


def option_texts(docstring: str) -> dict[str, str]:
    """What the section `Args:` says of each option: `a, b: text` is said of both."""
    texts: dict[str, str] = {}
    names: list[str] = []
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    for line in textwrap.dedent(section[1]).splitlines() if section else ():
        if entry := re.match(r"(\w+(?:, \w+)*): (.*)", line):
            names = entry[1].split(", ")
            texts |= dict.fromkeys(names, entry[2])
        elif line.strip():
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    return texts
