"""Filling in the templates."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
from pathlib import Path
from string import Template

from i2i_forge.errors import UsageError, disk_error
from i2i_forge.testing.scaffold.names import Names

KINDS = ("loss", "encoder", "decoder", "discriminator", "trainer", "dataset", "metric")
WITHOUT_RECIPE = ("metric",)
REGISTRY = {"loss": "losses"}  # the others add an s


def write_package(names: Names, kind: str, folder: Path) -> list[Path]:
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


def _files(names: Names, kind: str) -> dict[str, str]:
    """File -> content."""
    words = {
        "package": names.package, "module": names.module, "class_name": names.class_name, "title": names.title,
        "kind": kind, "registry": REGISTRY.get(kind, f"{kind}s"), "bound": _bound(),
    }  # fmt: skip
    usage = _filled(f"{kind}.md", words)
    files = {
        "README.md": _filled("README.md", words | {"usage": usage}),
        "pyproject.toml": _filled("pyproject.toml", words),
        ".gitignore": _filled("gitignore", words),
        f"src/{names.module}/__init__.py": _filled(f"{kind}.py", words),
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


def _refuse_shadowing(names: Names, source: str) -> None:
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
