"""What keeps a plugin from being used, as far as it can be seen without importing it: each as status and reason."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import sys

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from i2i_forge.catalog import hookspecs
from i2i_forge.errors import suggest

HOST = "i2i-forge"


def about_distribution(of: importlib.metadata.Distribution | None) -> tuple[str, str, str]:
    """The name and version of an installed package, and why its plugins are skipped."""
    name, version = "unknown", ""
    mine = importlib.metadata.version(HOST)
    try:
        assert of
        said = {key: of.metadata[key] for key in ("Name", "Version") if key in of.metadata}
        name, version = said.get("Name", "unknown"), said.get("Version", "")
        requirements = [Requirement(text) for text in of.requires or ()]
    except (AssertionError, TypeError, KeyError, InvalidRequirement):  # the package's metadata is damaged
        return name, version, ""
    for needs in requirements:
        applies = needs.marker is None or needs.marker.evaluate({"extra": ""})
        if canonicalize_name(needs.name) == HOST and applies and not needs.specifier.contains(mine, prereleases=True):
            return name, version, f"it needs {HOST}{needs.specifier}, this is {mine}; upgrade one of the two"
    return name, version, ""


def missing_imports(tree: ast.Module) -> tuple[str, str] | None:
    """Top-level packages that a module's own import statements name and that do not exist."""
    names = {alias.name for n in tree.body if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    tops = sorted({name.partition(".")[0] for name in names})
    missing = ", ".join(top for top in tops if top not in sys.modules and importlib.util.find_spec(top) is None)
    return ("broken", f"it imports {missing}, which cannot be found; pip install it") if missing else None


def hook_problem(tree: ast.Module) -> tuple[str, str] | None:
    """What is wrong with the hooks in a plugin's source."""
    hooks = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "i2i_forge_spec")}
    ours = hookspecs.FORGE_API
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="FORGE_API")], value=ast.Constant(value=int(api))) if api != ours:
                return "skipped", f"it is written for FORGE_API {api}, this is {ours}"
            case ast.FunctionDef(name=name, args=given):
                marked = any("hookimpl" in ast.unparse(decorator) for decorator in node.decorator_list)
                if name in hooks and not node.decorator_list:
                    return "broken", f"{name} is not a hook without `@hookimpl` above it (line {node.lineno})"
                if marked and name not in hooks:
                    return "broken", f"there is no hook '{name}' (line {node.lineno}); {suggest(name, hooks)}"
                known = inspect.signature(hooks[name]).parameters if marked else {}
                for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs] if marked else ():
                    if argument.arg not in known:
                        hint = suggest(argument.arg, known)
                        return "broken", f"hook {name} has no argument '{argument.arg}' (line {node.lineno}); {hint}"
    return None
