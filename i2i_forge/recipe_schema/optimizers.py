"""An entry of `optimizers` as JSON Schema; the options of the rules are read from torch's source."""

from __future__ import annotations

import ast

from i2i_forge.recipe_schema.components import component_schema
from i2i_forge.recipe_schema.options import Schema
from i2i_forge.recipe_schema.terms import SCHEDULE_PATTERN
from i2i_forge.schema import RULES
from i2i_forge.vocabulary import Component, Parameter, Vocabulary, module_file

_OURS = ("self", "params", "lr", "foreach", "fused", "capturable")  # set by the framework, or by its own key


def optimizer_schema(own: dict[str, Schema]) -> Schema:
    """The schema of an entry with the framework's keys `own`."""
    rules = [Component("rules", rule, "torch", f"torch.optim.{rule}", options=_options(rule)) for rule in RULES]
    schedule: Schema = {"type": ["number", "string", "null"], "pattern": SCHEDULE_PATTERN}
    schedule["patternErrorMessage"] = "A schedule reads `step(100_000, 0.5)`."
    beside = {key: value for key, value in own.items() if key != "use"} | {"schedule": own["schedule"] | schedule}
    found = component_schema(Vocabulary(rules), {}, "rules", beside)
    found["properties"]["use"] = own["use"] | {"enum": [*RULES, None]}
    return found


def _options(rule: str) -> tuple[Parameter, ...] | None:
    """The constructor's options; None where torch's source is not as it is known to be."""
    file = module_file(f"torch.optim.{rule}")
    classes = [n for n in ast.parse(file.read_bytes()).body if isinstance(n, ast.ClassDef)] if file else []
    for node in (inner for c in classes if c.name.lower() == rule for inner in c.body):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            given = [*node.args.args, *node.args.kwonlyargs]
            return tuple(
                Parameter(a.arg, ast.unparse(a.annotation) if a.annotation else None, "None")
                for a in given
                if a.arg not in _OURS
            )
    return None
