"""A component of a test as the kit gets it, and new packages of plugins."""

import importlib
import sys
import tomllib

import pytest

from i2i_forge.catalog.loading import Plugin
from i2i_forge.catalog.vocabulary import Component
from i2i_forge.testing.kit import check_component
from i2i_forge.testing.scaffold import names_of, write_package
from i2i_forge.testing.subject import Subject, example_of


@pytest.fixture
def failures(host):
    """Kind, component, CHECKS entry -> {check: its problems in one text}, for the checks that fail."""

    def tried(kind, component, **said):
        described = Component(kind, "mine", "mine", "mine", options=(), roles={}, routes={}, tensors=frozenset())
        plugin = Plugin("mine", "mine", None, "mine", "", status="ok", provides=[described])
        subject = Subject(kind, "mine", component, plugin, host, example_of(kind, "mine", {"mine": said}))
        return {result.check: "\n".join(result.problems) for result in check_component(subject) if result.problems}

    return tried


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Kind -> a new package that Python finds as if pip had installed it."""
    before = set(sys.modules)

    def write(kind):
        names = names_of(f"Soft-{kind}")
        write_package(names, kind, tmp_path / names.package)
        project = tomllib.loads((tmp_path / names.package / "pyproject.toml").read_text())["project"]
        record = tmp_path / names.package / "src" / f"{names.module}-0.1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
            + "".join(f"Requires-Dist: {needed}\n" for needed in project["dependencies"])
        )
        points = project["entry-points"]["i2i_forge"]
        (record / "entry_points.txt").write_text(
            "[i2i_forge]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
        )
        monkeypatch.syspath_prepend(record.parent)
        importlib.invalidate_caches()
        return names, tmp_path / names.package

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("soft_"):
            del sys.modules[name]
