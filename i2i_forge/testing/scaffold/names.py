"""The name of a package, and the names that follow from it."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from i2i_forge.errors import UsageError


@dataclass(frozen=True)
class Names:
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


def names_of(name: str) -> Names:
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
    return Names(package, module, class_name, " ".join(words).capitalize())
