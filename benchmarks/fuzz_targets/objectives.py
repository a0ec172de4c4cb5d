"""The parser of terms and schedules; what it accepts must come back from its own text, with a number at every step."""

from __future__ import annotations

from i2i_forge.errors import RecipeError
from i2i_forge.recipe import schedules, terms
from i2i_forge_benchmarks.fuzz_targets import Target


def read(data: bytes) -> None:
    """Read it as a term and as a schedule."""
    text = data.decode(errors="surrogateescape")
    refused: list[str] = []
    try:
        term = terms.parse_term(text)
        if len(str(term)) <= terms.MAX_LENGTH:
            assert terms.parse_term(str(term)) == term, "it says something else when it is written again"
        _weigh(term.weight)
    except terms.TermSyntaxError as error:
        refused.append(str(error))
    try:
        _weigh(terms.parse_weight(text))
    except terms.TermSyntaxError as error:
        refused.append(str(error))
    if refused:
        raise RecipeError(max(refused, key=len), fix="correct it")


def _weigh(weight: terms.Weight) -> None:
    for step in (0, 1, 1000, 10**9):
        assert isinstance(weight.at(step), int | float)


def seeds() -> list[bytes]:
    """Terms and schedules, good and bad."""
    return [
        b"10 * l1(cycled, source)", b"l1(a)", b"1e-4 * mine.l1(a, b, x=[1, 'two', None], y={'k': True})",
        b"step(100_000, 0.5) * warmup(1000) * 2 * l1(a)", b"linear(0, 1, steps=9)", b"cosine(1, 0, steps=100)", b"-3",
        b"l1(a, x=(1, -2.5))", b"l1(*a)", b"l1(**a)", b"(lambda: 1)()", b"l1(a) if 1 else 2", b"f'{x}'", b"",
        b"9" * 400, b"0x" + b"f" * 400, b"(" * 100, b"-" * 300 + b"1", "l1(é)".encode(),
    ]  # fmt: skip


TOKENS = (
    b"(", b")", b"[", b"]", b"{", b"}", b", ", b"=", b" * ", b"**", b"'", b'"', b"'''", b"\\", b"\n", b"#", b":=",
    b"lambda", b"None", b"True", b"1e999", b"1j", b"0x", b"1_0", b"-", b"~", b"not ", b"@", b"...", b"b''", b"f'{a}'",
    b"step(", b"warmup(", b"linear(", b"steps=", b"\0", b"\xed\xa0\x80", "\u00b5\u2126".encode(), b"if", b"for x in y",
    b"await ", b"__import__",
)  # fmt: skip
TARGET = Target(read, seeds, modules=(terms, schedules), tokens=TOKENS, megabytes=128)
