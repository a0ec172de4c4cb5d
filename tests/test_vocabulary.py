"""Reading plugins' source gives what importing them gives."""

import inspect
from pathlib import Path

import pytest

from i2i_forge.plugins import find_plugins, load_plugins, read_vocabulary
from i2i_forge.vocabulary import module_file, read_plugin


@pytest.fixture(scope="module")
def host():
    return load_plugins()


@pytest.fixture(scope="module")
def vocabulary():
    return read_vocabulary(find_plugins())


def test_names_kinds_and_origins_agree_with_the_catalog(host, vocabulary):
    live = {(r.kind, e.name, e.plugin, e.origin) for r in host.catalog.registries() for e in r.entries()}
    assert {(c.kind, c.name, c.plugin, c.origin) for c in vocabulary.components} == live
    assert vocabulary.complete and len(live) > 10


def test_options_agree_with_the_signatures(host, vocabulary):
    for component in vocabulary.components:
        target = getattr(host.catalog, component.kind).get(component.name)
        if component.kind in ("trainers", "formats"):
            continue
        parameters = inspect.signature(target).parameters.values()
        if inspect.isfunction(target):
            assert component.arguments == sum(p.default is p.empty for p in parameters), component
            parameters = [p for p in parameters if p.default is not p.empty]
        assert [p.name for p in component.options] == [p.name for p in parameters], component
        assert [p.default is None for p in component.options] == [p.default is p.empty for p in parameters], component


def test_trainers_agree_with_their_classes(host, vocabulary):
    for component in (c for c in vocabulary.components if c.kind == "trainers"):
        trainer = host.catalog.trainers.get(component.name)
        assert component.roles == dict(trainer.roles)
        assert component.routes == dict(trainer.routes)
        assert component.tensors == set(trainer.forward_pass.tensors())


def test_what_is_not_literal_is_unknown(tmp_path: Path):
    file = tmp_path / "odd.py"
    file.write_text(
        "from elsewhere import Thing\n"
        "def register_components(catalog):\n"
        "    catalog.losses.add('thing', Thing)\n"
        "    for name in ('a', 'b'):\n"
        "        catalog.losses.add(name, Thing)\n"
        "    other.losses.add('no', Thing)\n"
    )
    components, complete = read_plugin("odd", "odd", file)
    assert [(c.name, c.options) for c in components] == [("thing", None)]
    assert not complete


def test_module_files_are_found_without_importing():
    assert module_file("i2i_forge_plugins.munit").name == "munit.py"
    assert module_file("no_such_package.module") is None
    assert module_file("i2i_forge.no_such_module") is None
