"""Options of a base's component that the component in its place does not have: a recipe need not remove each.

They could only be mistakes, so leaving them out moves no number of a recipe that is valid without it. Options that
the new component has too stay, with the base's values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from i2i_forge.catalog.signatures import Parameter
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.recipe.check_components import mapping, rule_options, streams
from i2i_forge.recipe.schema import RULES, Data, Network, Optimizer
from i2i_forge.recipe.yaml_source import Keys

SECTIONS: dict[str, type[BaseModel]] = {"data": Data, "networks": Network, "optimizers": Optimizer}  # with own keys
Options = tuple[Parameter, ...] | None  # of a component; None: not known


def replaced(here: dict[str, Any]) -> set[Keys]:
    """The keys, within a component's mapping, of the options that are inherited when its `use` changes."""
    domains = {name: own for name, own in mapping(here, "per").items() if isinstance(own, dict) and "use" not in own}
    return {(key,) for key in here} | {("per", name, key) for name, own in domains.items() for key in own}


def left_over(data: dict[str, Any], inherited: Collection[Keys], vocabulary: Vocabulary) -> list[tuple[Keys, str]]:
    """The inherited options that no component which is given them has, each with the components' names."""
    found = []
    for at, spec, known in _specs(data, vocabulary):
        for key in spec:
            lacks = known and all(o is not None and key not in {p.name for p in o} for o in known.values())
            if lacks and (*at, key) in inherited and key not in SECTIONS[str(at[0])].model_fields:
                found.append(((*at, key), " and ".join(sorted(known))))
    return found


def _specs(data: dict[str, Any], vocabulary: Vocabulary) -> Iterator[tuple[Keys, dict[str, Any], dict[str, Options]]]:
    """Every mapping of options, its keys, and the options of the components that are given them, by name."""
    trainer = vocabulary.one("trainers", data.get("trainer"))
    roles = (trainer.roles if trainer else None) or {}
    for at, stream in streams(data):
        yield at, stream, _known(vocabulary, "datasets", [stream.get("use")])
    for role, network in mapping(data, "networks").items():
        shared, domains = mapping(network), mapping(network, "per")
        uses = {domain: mapping(own).get("use", shared.get("use")) for domain, own in domains.items()}
        kind = roles.get(role, "")
        yield ("networks", role), shared, _known(vocabulary, kind, list(uses.values()) or [shared.get("use")])
        for domain, use in uses.items():
            yield ("networks", role, "per", domain), mapping(domains, domain), _known(vocabulary, kind, [use])
    for name, entry in mapping(data, "optimizers").items():
        rule = mapping(entry).get("use", "adam")
        yield ("optimizers", name), mapping(entry), {rule: rule_options(rule)} if rule in RULES else {}


def _known(vocabulary: Vocabulary, kind: str, names: Sequence[Any]) -> dict[str, Options]:
    found = {str(name): vocabulary.one(kind, name) for name in names}
    return {name: component.options if component else None for name, component in found.items()}
