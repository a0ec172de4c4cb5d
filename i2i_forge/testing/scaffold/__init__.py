"""A new plugin as an installable package: `forge plugin new`."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from packaging.utils import canonicalize_name

from i2i_forge.errors import UsageError, disk_error

KINDS = ("loss", "encoder", "decoder", "discriminator", "trainer", "dataset", "metric")
WITHOUT_RECIPE = ("metric",)
REGISTRY = {"loss": "losses"}  # the others add an s
USE = {  # in a recipe
    "encoder": "style_encoder: {use: $module, width: 32, dim: 8}",
    "decoder": "decoder: {use: $module, width: 16, upsamples: 2, style_dim: 8}",
    "discriminator": "discriminator: {use: $module, width: 32, layers: 3}",
}


@dataclass(frozen=True)
class PackageNames:
    """What things are called.

    Attributes:
        package: "soft-edges": what pip installs, and the folder.
        module: "soft_edges": what Python imports; the plugin's and its component's name too.
        class_name: "SoftEdges".
        title: "Soft edges": what documentation calls it.
    """

    package: str
    module: str
    class_name: str
    title: str


def names_of(name: str) -> PackageNames:
    """The names that follow from what a user typed: "Soft_Edges" is the package soft-edges.

    Raises:
        UsageError: it cannot be a package's name, or its module's name is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", name):
        raise UsageError(
            f"'{name}' cannot be the name of a package",
            fix="use letters, digits and hyphens, and begin and end with a letter or digit: soft-edges",
        )
    package = str(canonicalize_name(name))
    module, words = package.replace("-", "_"), package.split("-")
    class_name = "".join(word.capitalize() for word in words)
    if not module.isidentifier() or keyword.iskeyword(module) or keyword.iskeyword(class_name):
        raise UsageError(
            f"'{name}' cannot be a plugin: '{module}' is no name in Python",
            fix="begin with a letter, and use no keyword",
        )
    there = importlib.util.find_spec(module)
    if module in sys.stdlib_module_names or (there and there.origin):  # a folder without __init__.py has no origin
        raise UsageError(
            f"'{name}' is taken: there is a Python module '{module}' already",
            fix=f"choose another name, such as {package}-plugin",
        )
    return PackageNames(package, module, class_name, " ".join(words).capitalize())


def write_package(names: PackageNames, kind: str, folder: Path) -> list[Path]:
    """Write a package with a small working component of a kind.

    Args:
        kind: one of KINDS.
        folder: the package's own folder, which must not exist.

    Returns:
        The files.

    Raises:
        UsageError: the folder exists or cannot be written, or the name is one that the component itself needs.
    """
    files = _files(names, kind)
    _refuse_shadowing(names, files[f"src/{names.module}/__init__.py"])
    if folder.exists():
        raise UsageError(f"{folder} exists already", fix="choose another name, or another folder with --out DIR")
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise disk_error(folder, error, refused="choose a folder with --out DIR") from error
    return [folder / name for name in files]


def _files(names: PackageNames, kind: str) -> dict[str, str]:
    words = {
        "package": names.package, "module": names.module, "class_name": names.class_name, "title": names.title,
        "kind": kind, "registry": REGISTRY.get(kind, f"{kind}s"), "bound": _bound(),
        "component": names.module if kind == "loss" else names.class_name,
        "use": Template(USE.get(kind, "")).substitute(module=names.module),
    }  # fmt: skip
    usage = _filled("network.md" if kind in USE else f"{kind}.md", words)
    files = {
        "README.md": _filled("README.md", words | {"usage": usage}),
        "pyproject.toml": _filled("pyproject.toml", words),
        ".gitignore": _filled("gitignore", words),
        f"src/{names.module}/__init__.py": _filled(f"{kind}.py", words) + _filled("hook.py", words),
        f"tests/test_{names.module}.py": _filled(f"test_{kind}.py", words),
    }
    if kind not in WITHOUT_RECIPE:
        files[f"src/{names.module}/{names.module}.yaml"] = _filled(f"{kind}.yaml", words)
    return files


def _filled(template: str, words: dict[str, str]) -> str:
    folder = importlib.resources.files("i2i_forge.testing.scaffold") / "templates"
    return Template((folder / f"{template}.txt").read_text(encoding="utf-8")).substitute(words)


def _bound() -> str:
    """The versions of i2i_forge that the plugin works with: from this one to the next that may break it."""
    major, minor, *_ = importlib.metadata.version("i2i-forge").split(".")
    return f">={major}.{minor},<0.{int(minor) + 1}" if major == "0" else f">={major}.{minor},<{int(major) + 1}"


def _refuse_shadowing(names: PackageNames, source: str) -> None:
    """A component called Tensor would hide what the plugin imports under that name."""
    body = ast.parse(source).body
    imported = {a.asname or a.name for n in body if isinstance(n, ast.ImportFrom | ast.Import) for a in n.names}
    defined = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    clash = imported.intersection(defined) or {name for name in defined if defined.count(name) > 1}
    if clash:
        raise UsageError(
            f"'{names.package}' is taken: the plugin itself needs the name {min(clash)}",
            fix=f"choose another name, such as {names.package}-plugin",
        )
