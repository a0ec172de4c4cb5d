"""Plain data -> YAML text that our reader, whose rules differ from YAML 1.1, reads back as the same data."""

from __future__ import annotations

import math
from typing import Any

import yaml

from i2i_forge.errors import RecipeError
from i2i_forge.recipe.yaml_source import parse_scalar


def to_yaml(data: dict[str, Any]) -> str:
    """A whole document; the innermost mappings and lists are written in one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=None)


def to_inline_yaml(value: Any) -> str:
    """A key or a value in one line."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=math.inf, default_flow_style=True)
    return text.removesuffix("...\n").strip()


class _Dumper(yaml.SafeDumper):
    """Without anchors, and with quotes around text that our reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """A list that occurs twice is written twice."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    try:
        quoted = parse_scalar(text) != text or "\n" in text
    except RecipeError:
        quoted = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _represent_text)
