"""YAML text -> plain data with the position of every value, and YAML's traps closed.

What is plain follows YAML 1.2: `no` and `12:30` are text, `1e-4` is a number, `010` is ten. Keys are text and unique.
There are no tags. Size, depth and aliases have limits; the pure-Python event stream cannot overflow the stack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.system.files import read_text

MAX_BYTES, MAX_DEPTH, MAX_ALIASES, MAX_NODES = 1_000_000, 32, 64, 10_000
MAX_KEY, MAX_TEXT, MAX_DIGITS = 100, 4096, 400  # characters

_DIGITS = "[0-9]+(?:_[0-9]+)*"
_INT = re.compile(rf"[-+]?{_DIGITS}")
_FLOAT = re.compile(rf"[-+]?(?:\.{_DIGITS}|{_DIGITS}(?:\.(?:{_DIGITS})?)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS |= {sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
# Control characters, surrogates, what is invisible or turns the direction of text, and line ends of YAML 1.1 alone.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u200a\u200c\u200d\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)


@dataclass(frozen=True)
class Position:
    """A place in a text; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Keys = tuple[str | int, ...]
Step = tuple[yaml.Event, Position]


@dataclass(frozen=True)
class YamlSource:
    """Plain data; `positions` has each key of a mapping, each item of a list, and () for the document."""

    data: Any
    positions: dict[Keys, Position]


def read_yaml(file: Path) -> YamlSource:
    """Read a UTF-8 file whose top level is a mapping."""
    try:
        if file.stat().st_size > MAX_BYTES:
            _fail(Position(str(file), 1, 1), f"the file has more than {MAX_BYTES:,} bytes", "name a recipe, not data")
        text = read_text(file, MAX_BYTES)  # _check finds the position of a bad byte
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{file}: cannot read it: {reason}", fix="check the path and its permissions") from None
    return parse_yaml(text, str(file))


def parse_yaml(text: str, file: str = "<text>") -> YamlSource:
    """Read a text whose top level is a mapping; an empty text is an empty mapping."""
    positions: dict[Keys, Position] = {(): Position(file, 1, 1)}
    try:
        data = _read(text.removeprefix("\ufeff"), file, positions)
    except yaml.MarkedYAMLError as error:
        _explain(error, file)
    if data is not None and not isinstance(data, dict):
        _fail(positions[()], f"the top level is a {type(data).__name__}, not a mapping", "write `key: value` lines")
    return YamlSource(data or {}, positions)


def parse_scalar(text: str) -> Any:
    """The value in `--set key=VALUE`: a scalar, or a list or mapping in [] or {}; all else is text as it stands."""
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return _scalar(text, True, Position("--set", 1, 1))
    try:
        data = _read(text, "--set", {})
    except yaml.MarkedYAMLError:
        return text
    return text if isinstance(data, dict) and text[0] != "{" else data  # `"a": 1` is text


def parse_options(changes: Iterable[str], flag: str = "--set") -> dict[str, Any]:
    """What KEY=VALUE texts of a flag say, for commands that take one component's options. Raises UsageError."""
    options = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"{flag} {change}: this is not KEY=VALUE", fix=f"write it as {flag} size=128")
        options[key] = parse_scalar(value)
    return options


def _read(text: str, file: str, positions: dict[Keys, Position]) -> Any:
    _check(text, Position(file, 1, 1), whole=True)
    steps = _steps(text, file)
    root = next(steps, None)
    if root is None:
        return None
    positions[()] = root[1]
    data = _build(steps, root, (), positions)
    next(steps, None)  # what follows is nothing, or refused
    return data


def _steps(text: str, file: str) -> Iterator[Step]:
    """The events inside the only document, each alias replaced by the events of its anchor."""
    seen: list[Step] = []
    anchors: dict[str, slice] = {}  # where in `seen` the value is; "" stands for no anchor
    opened: list[tuple[str, int]] = []
    aliases = nodes = 0
    for event, at in _events(text, file):
        new, name = [(event, at)], getattr(event, "anchor", None) or ""
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                _fail(at, f"more than {MAX_ALIASES} aliases (`*name`)", "write the values out, or use `base:`")
            if name not in anchors:
                why = "lies inside the value it stands for" if name in dict(opened) else "has no anchor before it"
                _fail(at, f"the alias *{name:.60} {why}", "write the value out, or quote it if it is text")
            new = [(seen[anchors[name]][0][0], at), *seen[anchors[name]][1:]]
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((name, len(seen)))
        elif isinstance(event, yaml.CollectionEndEvent):
            name, start = opened.pop()
            anchors[name] = slice(start, len(seen) + 1)
        else:
            anchors[name] = slice(len(seen), len(seen) + 1)
        nodes += sum(isinstance(step[0], yaml.NodeEvent) for step in new)
        if nodes > MAX_NODES:
            _fail(at, f"more than {MAX_NODES:,} values, aliases counted in full", "use fewer values or aliases")
        seen += new
        yield from new


def _events(text: str, file: str) -> Iterator[Step]:
    """PyYAML's events for values, with positions; tags and a second document are refused."""
    loader: Any = yaml.SafeLoader(text)
    documents = 0
    while True:
        try:
            event = loader.get_event()
        except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF"
            raise yaml.MarkedYAMLError(problem="not a character", problem_mark=loader.get_mark()) from None
        if isinstance(event, yaml.StreamEndEvent):
            return
        at = Position(file, event.start_mark.line + 1, event.start_mark.column + 1)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            _fail(at, "a second document begins here", "keep one document in a file; delete this `---`")
        if tag := getattr(event, "tag", None):
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            _fail(at, f"the tag {tag:.60} is not allowed", "remove it, or quote the text if it begins with `!`")
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            yield event, at


def _build(rest: Iterator[Step], step: Step, path: Keys, positions: dict[Keys, Position]) -> Any:
    """The value that begins with `step`; takes its other events from `rest`."""
    event, at = step
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value, event.style is None, at)
    if len(path) >= MAX_DEPTH:
        _fail(at, f"nested more than {MAX_DEPTH} levels deep", "close the brackets, or nest less")
    items: list[Any] = []
    mapping: dict[str, Any] = {}
    while not isinstance((step := next(rest))[0], yaml.CollectionEndEvent):
        if isinstance(event, yaml.SequenceStartEvent):
            positions[(*path, len(items))] = step[1]
            items.append(_build(rest, step, (*path, len(items)), positions))
            continue
        key = _build(rest, step, (*path, "?"), {})
        if key == "<<":
            _fail(step[1], "the merge key << is not supported", "use `base:` to build on another recipe")
        if not isinstance(key, str):
            _fail(step[1], f"the key {key!r:.60} is not text", "put it in quotes")
        if len(key) > MAX_KEY:
            _fail(step[1], f"the key {key!r:.60} has more than {MAX_KEY} characters", "shorten it")
        if key in mapping:
            fix = "quote text that has a comma inside { }" if key.endswith(")") else "keep one of the two"
            _fail(step[1], f"the key {key!r:.60} is already at {positions[(*path, key)]}", fix)
        positions[(*path, key)] = step[1]
        mapping[key] = _build(rest, next(rest), (*path, key), positions)
    return items if isinstance(event, yaml.SequenceStartEvent) else mapping


def _scalar(text: str, plain: bool, at: Position) -> Any:
    _check(text, at)
    if len(text) > MAX_TEXT:
        _fail(at, f"the text {text[:40]!r} ... has more than {MAX_TEXT:,} characters", "shorten it, or close a quote")
    if plain and text in _WORDS:
        return _WORDS[text]
    if not plain or not _FLOAT.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS or math.isinf(float(text)):
        _fail(at, f"the number {text:.60} is too large", "write a smaller one, or .inf; quote it if it is text")
    return int(text) if _INT.fullmatch(text) else float(text)


def _check(text: str, at: Position, whole: bool = False) -> None:
    """Refuse characters that cannot be seen; `at` is where the text begins."""
    if bad := _FORBIDDEN.search(text):
        code, lines = ord(bad[0]), (text[: bad.start()] + ".").splitlines()
        is_byte = whole and 0xDC80 <= code <= 0xDCFF
        what = f"the byte 0x{code - 0xDC00:02x} is not UTF-8" if is_byte else f"the character U+{code:04X} is forbidden"
        at = Position(at.file, len(lines), len(lines[-1])) if whole else at
        _fail(at, what, "delete it; save the file as UTF-8 text")


def _explain(error: yaml.MarkedYAMLError, file: str) -> NoReturn:
    """Raise PyYAML's error in one line, with where the unfinished thing begins."""
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    at = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 1, 1)
    problem = " ".join(str(error.problem or error.context).split())
    if "'\\t'" in problem:
        _fail(at, "a tab cannot indent or separate YAML", "replace the tab by spaces")
    if error.context and begin:
        problem += f" ({error.context}, which begins at {begin.line + 1}:{begin.column + 1})"
    _fail(at, problem, "check brackets, quotes, colons and indentation; quote text that has special characters")


def _fail(at: Position, problem: str, fix: str) -> NoReturn:
    raise RecipeError(f"{at}: {problem}", fix=fix)
