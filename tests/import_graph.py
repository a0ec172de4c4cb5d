"""The import graph of i2i_forge, read from its sources; `python tests/import_graph.py` prints it.

What is imported for type checking only counts too.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "i2i_forge"


def imported(file: Path) -> set[str]:
    """The modules and names that a file imports, as dotted names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner if inner <= set(modules()) else {node.module} | inner
    return names


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the package."""
    files = {f.relative_to(PACKAGE.parent).with_suffix(""): f for f in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(path.parts).removesuffix(".__init__"): file for path, file in files.items()}


def room(module: str) -> str:
    """The room of a module: "i2i_forge.run.loop.loop" is in "run"."""
    return module.split(".")[1] if "." in module else ""


def arrows() -> dict[str, dict[str, str]]:
    """Room -> the rooms it imports from -> one import that does."""
    found: dict[str, dict[str, str]] = {}
    for module, file in modules().items():
        for name in imported(file) & set(modules()):
            if room(name) != room(module):
                found.setdefault(room(module), {})[room(name)] = f"{module} imports {name}"
    return found


def deepest() -> tuple[str, ...]:
    """The longest chain of imports between files. Raises graphlib.CycleError where one comes back to itself."""
    below = {module: imported(file) & set(modules()) - {module} for module, file in modules().items()}
    chains: dict[str, tuple[str, ...]] = {}
    for module in TopologicalSorter(below).static_order():
        chains[module] = (module, *max((chains[name] for name in below[module]), key=len, default=()))
    return max(chains.values(), key=len)


if __name__ == "__main__":
    for home, others in arrows().items():
        print(f"{home or 'i2i_forge'}: {' '.join(sorted(filter(None, others)))}")
    print("deepest:", *deepest(), sep="\n  ")
