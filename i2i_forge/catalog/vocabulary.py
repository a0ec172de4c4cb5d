"""What plugins provide, read from their source without running it: a recipe is checked before torch is imported.

A plugin's `register_components` is looked through for `catalog.<kind>.add("name", Component)`; the component's
constructor gives the options, a trainer's class body gives its roles, routes and tensors. Whatever is not written
literally is unknown here (None) and is checked later, when the plugin is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i_forge.catalog.registry import KINDS
from i2i_forge.catalog.signatures import Parameter, definitions, signature
from i2i_forge.system.files import read_bytes


@dataclass(frozen=True)
class Component:
    """A component as its plugin's source describes it. None stands for "not written literally"."""

    kind: str
    name: str
    plugin: str
    origin: str
    summary: str = ""
    options: tuple[Parameter, ...] | None = None
    arguments: int | None = None  # a loss: how many arguments a term gives it
    roles: dict[str, str] | None = None
    optional_roles: tuple[str, ...] = ()
    routes: dict[str, Any] | None = None
    tensors: frozenset[str] | None = None  # of all routes
    state: frozenset[str] | None = None


@dataclass
class Vocabulary:
    """All components that are known without importing a plugin."""

    components: list[Component] = field(default_factory=list)
    complete: bool = True  # False: some plugin registers names that cannot be read from its source
    unusable: list[tuple[Component, str]] = field(default_factory=list)  # of plugins set aside, and why

    def names(self, kind: str) -> list[str]:
        """The names of a kind, sorted."""
        return sorted({c.name for c in self.components if c.kind == kind})

    def of(self, kind: str) -> list[Component]:
        """The components of a kind, by name."""
        return sorted((c for c in self.components if c.kind == kind), key=lambda c: (c.name, c.plugin))

    def called(self, component: Component) -> list[str]:
        """How a recipe may name a component: the bare name where no other plugin brings it, `plugin:name` always."""
        alone = self.one(component.kind, component.name) is not None
        return [component.name] * alone + [f"{component.plugin}:{component.name}"]

    def find(self, kind: str, name: str) -> list[Component]:
        """The components of a kind called `name` or `plugin:name`; several when plugins clash."""
        plugin, _, bare = name.rpartition(":")
        return [c for c in self.components if (c.kind, c.name) == (kind, bare) and plugin in ("", c.plugin)]

    def one(self, kind: str, name: Any) -> Component | None:
        """The component of that name, if there is exactly one."""
        found = self.find(kind, name) if isinstance(name, str) else []
        return found[0] if len(found) == 1 else None


def read_plugin(plugin: str, module: str, file: Path, tree: ast.Module | None = None) -> tuple[list[Component], bool]:
    """The components a plugin's file registers, and whether that is all of them. Raises SyntaxError, OSError.

    Args:
        tree: what the file holds, if it is read already.
    """
    tree = tree or ast.parse(read_bytes(file), str(file))
    known, homes = definitions(tree), {}
    for name, (home, node) in _from_siblings(tree, file).items():
        known[name], homes[name] = node, f"{module}.{home}"
    hook = known.get("register_components")
    if not isinstance(hook, ast.FunctionDef) or not hook.args.args:
        return [], not _mentions_hook(tree)
    catalog, found = hook.args.args[0].arg, []
    nodes = list(ast.walk(hook))
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        kind = _registry_of(call.func, catalog)
        match call.args:
            case [ast.Constant(value=str(name)), component] if kind is not None:
                defined = known.get(component.id) if isinstance(component, ast.Name) else None
                shown = ast.unparse(component)
                origin = f"{homes.get(shown, module)}.{shown}"
                found.append(_component(kind, name, plugin, origin, defined, known))
    uses = sum(isinstance(node, ast.Name) and node.id == catalog for node in nodes)
    return found, uses == len(found)  # the catalog is used in no other way


def _from_siblings(tree: ast.Module, file: Path) -> dict[str, tuple[str, Any]]:
    """What a folder plugin imports by name from its own modules: name -> (module, definition)."""
    found: dict[str, tuple[str, Any]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module and file.name == "__init__.py":
            sibling = file.parent / f"{node.module.replace('.', '/')}.py"
            defined = definitions(ast.parse(read_bytes(sibling), str(sibling))) if sibling.is_file() else {}
            found |= {a.name: (node.module, defined[a.name]) for a in node.names if not a.asname and a.name in defined}
    return found


def _mentions_hook(tree: ast.Module) -> bool:
    """Whether a module may have the hook without defining it at its top level: imported, assigned, in an `if`."""
    nodes = [node for statement in tree.body for node in ast.walk(statement) if not isinstance(statement, ast.ClassDef)]
    names = [getattr(node, "asname", None) or getattr(node, "name", getattr(node, "id", "")) for node in nodes]
    return "register_components" in names or "*" in names


def _registry_of(function: ast.expr, catalog: str) -> str | None:
    """The kind in `catalog.<kind>.add`."""
    match function:
        case ast.Attribute(attr="add", value=ast.Attribute(attr=kind, value=ast.Name(id=name))) if name == catalog:
            return kind if kind in KINDS else None
    return None


def _component(
    kind: str, name: str, plugin: str, origin: str, node: ast.stmt | None, known: dict[str, Any]
) -> Component:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef):
        return Component(kind, name, plugin, origin)
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    if kind == "trainers" and isinstance(node, ast.ClassDef):
        body = dict(_assignments(node))
        optional = _literal(body.get("optional_roles"))
        return Component(
            kind, name, plugin, origin, summary, (), None,
            roles=_mapping(body.get("roles")),
            optional_roles=optional if isinstance(optional, tuple) else (),
            routes=_mapping(body.get("routes")),
            tensors=_offered(body.get("forward_pass"), known),
            state=_keys(body.get("state")),
        )  # fmt: skip
    options, arguments = signature(node, is_loss=kind == "losses")
    return Component(kind, name, plugin, origin, summary, options, arguments)


def _assignments(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.value


def _literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError):
        return None


def _mapping(node: ast.expr | None) -> dict[str, Any] | None:
    return value if isinstance(value := _literal(node), dict) else None


def _keys(node: ast.expr | None) -> frozenset[str] | None:
    """The keys of a mapping of literal keys; none where there is no mapping."""
    if node is None:
        return frozenset()
    keys = [_literal(key) for key in node.keys] if isinstance(node, ast.Dict) else [None]
    names = frozenset(key for key in keys if isinstance(key, str))
    return names if len(names) == len(keys) else None


def _offered(forward_pass: ast.expr | None, known: dict[str, Any]) -> frozenset[str] | None:
    """The tensors of a trainer's forward pass, or of its passes by route together."""
    passes = forward_pass.values if isinstance(forward_pass, ast.Dict) else [forward_pass] if forward_pass else []
    found: set[str] = set()
    for node in passes:
        defined = known.get(ast.unparse(node))
        tensors = _tensors(defined, known) if isinstance(defined, ast.ClassDef) else None
        if tensors is None:
            return None
        found |= tensors
    return frozenset(found) or None


def _tensors(node: ast.ClassDef, known: dict[str, Any]) -> frozenset[str] | None:
    """The names of a forward pass's tensors; None when a base class is not in the same file."""
    names = {"source", "target"}
    others = {name: other for name, other in known.items() if other is not node}  # one may extend its namesake
    for base in map(ast.unparse, node.bases):
        if base.rpartition(".")[2] == "ForwardPass":
            continue
        inherited = _tensors(others[base], others) if isinstance(others.get(base), ast.ClassDef) else None
        if inherited is None:
            return None
        names |= inherited
    methods = (s for s in node.body if isinstance(s, ast.FunctionDef))
    names |= {m.name for m in methods if any(ast.unparse(d).endswith("tensor") for d in m.decorator_list)}
    return frozenset(names)
