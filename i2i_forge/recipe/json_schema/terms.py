"""Regular expressions for terms and schedules, for editors. What they let pass may still be refused by `terms`."""

from __future__ import annotations

from collections.abc import Iterable

from i2i_forge.recipe.schedules import SCHEDULES

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
_SCHEDULE = rf"(?:{'|'.join(SCHEDULES)})\s*\([^()]*\)"
SCHEDULE_PATTERN = rf"^\s*(?:{_NUMBER}|{_SCHEDULE})(?:\s*\*\s*(?:{_NUMBER}|{_SCHEDULE}))*\s*$"


def term_pattern(losses: Iterable[str] | None = None, arguments: Iterable[str] | None = None) -> str:
    """The pattern of `[factor *]... loss(argument, ..., option=literal)`.

    Args:
        losses: the names there are, with or without "plugin."; None: any name.
        arguments: the tensors and roles there are; None: any name.
    """
    loss = rf"(?:{_NAME}\s*\.\s*)?{_one_of(losses)}"
    argument = _one_of(arguments)
    given = rf"(?:{argument}(?:\s*,\s*{argument})*)?"
    options = rf"(?:\s*,?\s*{_NAME}\s*=[\s\S]*)?"
    return rf"^\s*(?:(?:{_NUMBER}|{_SCHEDULE})\s*\*\s*)*{loss}\s*\(\s*{given}{options}\s*,?\s*\)\s*$"


def _one_of(names: Iterable[str] | None) -> str:
    return _NAME if names is None else f"(?:{'|'.join(sorted(names))})"
