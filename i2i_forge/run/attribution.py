"""Which plugin brought what: for the record of a run."""

from __future__ import annotations

from collections.abc import Iterator

from i2i_forge.catalog.loading import Host
from i2i_forge.catalog.registry import Catalog
from i2i_forge.recipe.reading import Recipe


def plugin_versions(host: Host) -> dict[str, str]:
    """The plugins that work -> "package version"; a one-file plugin's folder."""
    return {p.name: f"{p.distribution} {p.version}".strip() for p in host.plugins if p.status == "ok"}


def attribution(recipe: Recipe, host: Host) -> dict[str, str]:
    """The recipe's components -> "plugin (package version)".

    A component is named as the recipe names it: "losses.l1", "losses.my_plugin:l1". Raises PluginError when it is not
    there.
    """
    versions, found = plugin_versions(host), {}
    for kind, name in _components(recipe, host.catalog):
        plugin = getattr(host.catalog, kind).entry(name).plugin
        found[f"{kind}.{name}"] = f"{plugin} ({versions[plugin]})" if plugin in versions else plugin
    return found


def _components(recipe: Recipe, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Kind and name of all that is built; a term of weight 0 is not."""
    yield "trainers", recipe.trainer
    yield from (("datasets", stream.use) for stream in recipe.data.streams.values())
    for role, kind in catalog.trainers.get(recipe.trainer).roles.items():
        if role in recipe.networks:
            yield from ((kind, spec.use) for spec in recipe.networks[role].built().values())
    for phase in recipe.phases:
        for lines in recipe.terms(phase).values():
            yield from (("losses", term.loss) for term in lines.values() if not term.weight.is_zero)
