"""Terms of an objective: `10 * l1(cycled, source)` as text and as an object. Parsed with `ast`, never evaluated.

term     = [factor *]... loss(argument, ..., option=literal, ...)
argument = tensor | role                       a role stands for the network of the domain entered
factor   = number | schedule(number, ..., name=number)
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from i2i_forge.errors import suggest
from i2i_forge.recipe.schedules import SCHEDULES, Schedule

MAX_LENGTH = 500
_LARGEST = 1e300


class TermSyntaxError(ValueError):
    """The text of a term or of a schedule cannot be read; the message says where and what is expected."""


@dataclass(frozen=True)
class Weight:
    """A product of numbers and schedules; a number of the step."""

    text: str
    factors: tuple[float | Schedule, ...] = field(compare=False)

    def at(self, step: int) -> float:
        """The weight at a step (0-based)."""
        return math.prod(f(step) if callable(f) else f for f in self.factors)

    @property
    def is_zero(self) -> bool:
        """Whether the weight is 0 at every step, so that the term need not exist."""
        return any(not callable(f) and f == 0 for f in self.factors)


@dataclass(frozen=True)
class Term:
    """One line of an objective: a weight, a loss, what it compares (tensors, or a role's network), its options."""

    weight: Weight
    loss: str
    arguments: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        arguments = [*self.arguments, *(f"{key}={value!r}" for key, value in self.options.items())]
        return f"{self.weight.text} * {self.loss.replace(':', '.')}({', '.join(arguments)})"


def parse_term(text: str) -> Term:
    """Read `[weight *] loss(tensor, ..., option=literal)`. Raises TermSyntaxError."""
    *factors, call = _factors(_expression(text, "a term reads `10 * l1(cycled, source)`"))
    if not isinstance(call, ast.Call):
        raise TermSyntaxError(f"'{ast.unparse(call)}' is not a loss; a term reads `10 * l1(cycled, source)`")
    arguments = []
    for argument in call.args:
        if not isinstance(argument, ast.Name):
            shown = ast.unparse(argument)
            raise TermSyntaxError(f"'{shown}' is not the name of a tensor; write options by name: `option={shown}`")
        arguments.append(argument.id)
    return Term(_weight(factors), _dotted(call.func).replace(".", ":"), tuple(arguments), _named(call, _literal))


def parse_weight(text: str | float) -> Weight:
    """Read a number or a product of schedule calls: `warmup(1000) * step(100_000, 0.5)`. Raises TermSyntaxError."""
    return _weight(_factors(_expression(str(text), "a schedule reads `step(100_000, 0.5)`")))


def _expression(text: str, example: str) -> ast.expr:
    shown = " ".join(text.split())
    if len(text) > MAX_LENGTH:
        raise TermSyntaxError(f"'{shown[:40]} ...' has more than {MAX_LENGTH} characters; {example}")
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's remarks on odd spelling, such as "\\d"
            node = ast.parse(text.strip(), mode="eval").body
        ast.unparse(node)  # whatever is nested so deep that a message about it could not be written ends here
        return node
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        if text.count("(") > text.count(")"):
            example += "; inside { } quote it, for a comma ends a value there"
        column = f" (column {error.offset})" if isinstance(error, SyntaxError) and error.offset else ""
        raise TermSyntaxError(f"cannot read '{shown}'{column}; {example}") from None


def _factors(node: ast.expr) -> list[ast.expr]:
    factors: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        factors.insert(0, node.right)
        node = node.left
    return [node, *factors]


def _weight(nodes: list[ast.expr]) -> Weight:
    text = " * ".join(ast.unparse(node) for node in nodes) or "1"
    return Weight(text, tuple(_factor(node) for node in nodes))


def _factor(node: ast.expr) -> float | Schedule:
    if isinstance(node, ast.Call):
        name = _dotted(node.func)
        if name not in SCHEDULES:
            raise TermSyntaxError(f"there is no schedule '{name}'; {suggest(name, SCHEDULES)}")
        try:
            return SCHEDULES[name](*map(_number, node.args), **_named(node, _number))
        except (TypeError, ValueError) as error:
            if isinstance(error, TermSyntaxError):
                raise
            raise TermSyntaxError(f"{ast.unparse(node)}: {error}") from None
    return _number(node)


def _number(node: ast.expr) -> float:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, OverflowError):
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise TermSyntaxError(f"'{ast.unparse(node)}' is not a number")
    return value


def _named(call: ast.Call, read: Callable[[ast.expr], Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise TermSyntaxError("'**' is not part of a term; write the options out")
        if keyword.arg in options:
            raise TermSyntaxError(f"'{keyword.arg}' is given twice in {ast.unparse(call)}; keep one")
        options[keyword.arg] = read(keyword.value)
    return options


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, OverflowError):
        shown = ast.unparse(node)
        raise TermSyntaxError(
            f"'{shown}' is not a literal; quote it if it is text (tensors come first, without `name=`)"
        ) from None
    if not _is_plain(value):
        raise TermSyntaxError(f"'{ast.unparse(node)}' is not a number, text, True, False, None, or a list of them")
    return value


def _is_plain(value: Any) -> bool:
    """Whether a value is what a recipe can hold, so that it comes back from text as it was."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= _LARGEST)


def _dotted(node: ast.expr) -> str:
    """`l1`, or `plugin.l1` for a loss that two plugins bring."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    raise TermSyntaxError(f"'{ast.unparse(node)}' is not a name")
