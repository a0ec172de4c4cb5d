"""An entry of `optimizers` as JSON Schema; the options of the rules are read from torch's source."""

from __future__ import annotations

from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.recipe.check_components import rule_options
from i2i_forge.recipe.json_schema.components import component_schema
from i2i_forge.recipe.json_schema.options import Schema
from i2i_forge.recipe.json_schema.terms import SCHEDULE_PATTERN
from i2i_forge.recipe.schema import RULES


def optimizer_schema(own: dict[str, Schema]) -> Schema:
    """The schema of an entry with the framework's keys `own`."""
    rules = [Component("rules", rule, "torch", f"torch.optim.{rule}", options=rule_options(rule)) for rule in RULES]
    schedule: Schema = {"type": ["number", "string", "null"], "pattern": SCHEDULE_PATTERN}
    schedule["patternErrorMessage"] = "A schedule reads `step(100_000, 0.5)`."
    beside = {key: value for key, value in own.items() if key != "use"} | {"schedule": own["schedule"] | schedule}
    found = component_schema(Vocabulary(rules), {}, "rules", beside)
    found["properties"]["use"] = own["use"] | {"enum": [*RULES, None]}
    return found
