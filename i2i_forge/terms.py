"""Terms of an objective: `10 * l1(cycled, source)` as text and as an object. Parsed with `ast`, never evaluated.

term     = [factor *]... loss(tensor, ..., option=literal, ...)
factor   = number | schedule(number, ..., name=number)
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from i2i_forge.errors import suggest
from i2i_forge.schedules import SCHEDULES, Schedule


class TermSyntaxError(ValueError):
    """The text of a term or of a schedule cannot be read; the message says where and what is expected."""


@dataclass(frozen=True)
class Weight:
    """A product of numbers and schedules; a number of the step."""

    text: str
    factors: tuple[float | Schedule, ...] = field(compare=False)

    def at(self, step: int) -> float:
        """The weight at a step (0-based)."""
        return prod(f(step) if callable(f) else f for f in self.factors)

    @property
    def is_zero(self) -> bool:
        """Whether the weight is 0 at every step, so that the term need not exist."""
        return any(not callable(f) and f == 0 for f in self.factors)


@dataclass(frozen=True)
class Term:
    """One line of an objective: a weight, a loss, the tensors it compares, and the loss's options."""

    weight: Weight
    loss: str
    tensors: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        arguments = [*self.tensors, *(f"{key}={value!r}" for key, value in self.options.items())]
        return f"{self.weight.text} * {self.loss.replace(':', '.')}({', '.join(arguments)})"


def parse_term(text: str) -> Term:
    """Read `[weight *] loss(tensor, ..., option=literal)`. Raises TermSyntaxError."""
    *factors, call = _factors(_expression(text))
    if not isinstance(call, ast.Call):
        raise TermSyntaxError(f"'{ast.unparse(call)}' is not a loss; a term reads `10 * l1(cycled, source)`")
    tensors = []
    for argument in call.args:
        if not isinstance(argument, ast.Name):
            shown = ast.unparse(argument)
            raise TermSyntaxError(f"'{shown}' is not the name of a tensor; write options by name: `option={shown}`")
        tensors.append(argument.id)
    return Term(_weight(factors), _dotted(call.func).replace(".", ":"), tuple(tensors), _literals(call))


def parse_weight(text: str | float) -> Weight:
    """Read a number or a product of schedule calls, as in `schedule: warmup(1000) * step(100_000, 0.5)`."""
    return _weight(_factors(_expression(str(text))))


def _expression(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        column = f" (column {error.offset})" if isinstance(error, SyntaxError) and error.offset else ""
        raise TermSyntaxError(f"cannot read '{text}'{column}; a term reads `10 * l1(cycled, source)`") from None


def _factors(node: ast.expr) -> list[ast.expr]:
    """The factors of a product, left to right."""
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
            schedule = SCHEDULES[name](*(_number(argument) for argument in node.args), **_literals(node))
            schedule(0)
            return schedule
        except (TypeError, ArithmeticError) as error:
            raise TermSyntaxError(f"{ast.unparse(node)}: {error}") from None
    return _number(node)


def _number(node: ast.expr) -> float:
    value = _literal(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TermSyntaxError(f"'{ast.unparse(node)}' is not a number")
    return value


def _literals(call: ast.Call) -> dict[str, Any]:
    options = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise TermSyntaxError("'**' is not part of a term; write the options out")
        options[keyword.arg] = _literal(keyword.value)
    return options


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise TermSyntaxError(f"'{ast.unparse(node)}' is not a literal; quote it if it is text") from None


def _dotted(node: ast.expr) -> str:
    """`l1`, or `plugin.l1` for a loss that two plugins bring."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    raise TermSyntaxError(f"'{ast.unparse(node)}' is not a name")
