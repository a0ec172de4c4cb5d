"""A component of a test as the kit gets it, and new packages of plugins."""

import pytest
from test_external_plugin import announce, forget

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
    modules = []

    def write(kind):
        names = names_of(f"Soft-{kind}")
        write_package(names, kind, tmp_path / names.package)
        announce(tmp_path / names.package, tmp_path / "site", monkeypatch)
        modules.append(names.module)
        return names, tmp_path / names.package

    yield write
    forget(*modules)
