"""Files that lie in the wheels of packages, which nobody here wrote."""

from importlib.util import find_spec
from pathlib import Path

import pytest


def shipped(package: str, name: str) -> Path:
    """A file of an installed package, which is not imported; the test is skipped where it is missing."""
    spec = find_spec(package)
    path = Path((spec and spec.origin) or "/").parent / name
    if spec is None or not path.exists():
        pytest.skip(f"needs {name} of the package {package}")
    return path
