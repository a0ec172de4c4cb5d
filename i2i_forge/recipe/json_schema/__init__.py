"""The JSON Schema of recipes (draft 2020-12), made from the source of the installed plugins, for editors.

    sections     the framework's own keys, from `schema.py`
    options      a component's options, from its constructor and its docstring
    components   `{use: name, option: value}`
    optimizers   the same, for torch's rules
    terms        patterns of terms and schedules
    methods      what the trainer decides: roles, routes, tensors
    recipe       all of it together

A recipe with `base:` may be any part of a whole one and `~` may stand anywhere in it, so keys are required only of a
recipe without base. The schema refuses nothing that `forge check` accepts; `forge check` finds more.
"""

from i2i_forge.recipe.json_schema.recipe import TITLE, recipe_schema

__all__ = ["TITLE", "recipe_schema"]
