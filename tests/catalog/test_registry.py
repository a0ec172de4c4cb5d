"""Names, owners, and clashes."""

import pytest

from i2i_forge.catalog.registry import KINDS, Catalog, Registry
from i2i_forge.errors import PluginError


def one():
    pass


def other():
    pass


def test_get_and_list():
    registry = Registry("losses")
    registry.add("one", one)
    registry.add("a", object())
    assert registry.get("one") is one
    assert list(registry) == ["a", "one"] and len(registry) == 2 and "one" in registry and "two" not in registry
    assert [entry.origin for entry in registry.entries()] == ["builtins.object", "test_registry.one"]


def test_a_plugin_cannot_use_a_name_twice():
    registry = Registry("losses")
    registry.add("l1", one)
    with pytest.raises(PluginError, match=r"'l1' is already test_registry\.one; test_registry\.other cannot"):
        registry.add("l1", other)


def test_a_clash_between_plugins_names_both_owners_and_is_resolved_by_qualifying():
    catalog = Catalog()
    catalog.registering("first")
    catalog.losses.add("l1", one)
    catalog.registering("second")
    catalog.losses.add("l1", other)
    with pytest.raises(PluginError) as caught:
        catalog.losses.get("l1")
    for part in ("test_registry.one (plugin first)", "test_registry.other (plugin second)", "first:l1", "second:l1"):
        assert part in str(caught.value)
    assert catalog.losses.get("first:l1") is one and catalog.losses.get("second:l1") is other
    assert "first:l1" in catalog.losses and "third:l1" not in catalog.losses
    with pytest.raises(PluginError, match=r"there is no 'third:l1'\nfix: did you mean 'l1'\?"):
        catalog.losses.get("third:l1")
    assert len(catalog.losses.clashes()) == 1
    catalog.discard("second")
    assert catalog.losses.get("l1") is one and catalog.losses.clashes() == []
    assert catalog.losses.entry("l1").plugin == "first"


def test_an_unknown_name_suggests_the_nearest_and_the_list():
    registry = Registry("losses")
    registry.add("charbonnier", one)
    registry.add("l1", other)
    with pytest.raises(PluginError, match="did you mean 'charbonnier'") as caught:
        registry.get("charbonier")
    assert "charbonnier, l1" in str(caught.value)
    with pytest.raises(PluginError, match=r"metrics: there is no 'fid'\nfix: there are no metrics at all"):
        Catalog().metrics.get("fid")


def test_catalogs_share_nothing_and_have_every_kind():
    first, second = Catalog(), Catalog()
    first.losses.add("l1", one)
    assert "l1" not in second.losses
    assert [registry.kind for registry in first.registries()] == list(KINDS)


@pytest.mark.parametrize("name", ["", " ", "a:b", None, 3])
def test_names_that_could_never_be_asked_for(name):
    with pytest.raises(PluginError, match="cannot be a name"):
        Registry("encoders").add(name, one)


def test_a_loss_has_a_name_that_a_term_can_call():
    with pytest.raises(PluginError, match="'my-loss' cannot be called in a term"):
        Registry("losses").add("my-loss", one)
    Registry("formats").add("my-format", one)


def test_discard_takes_only_what_the_plugin_brought():
    catalog = Catalog()
    for plugin in ("first", "second"):
        catalog.registering(plugin)
        catalog.losses.add(plugin, one)
        catalog.encoders.add("shared", one)
    catalog.discard("first")
    assert list(catalog.losses) == ["second"] and catalog.encoders.entry("shared").plugin == "second"
    catalog.discard("nobody")
    assert list(catalog.losses) == ["second"]
