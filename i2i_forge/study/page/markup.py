"""HTML as function calls: whatever is not markup already is escaped, so that nothing from a run can become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

VOID = {"img", "meta"}
_UNSEEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\ufffd")  # control characters, not HTML


class Html(str):
    """Text that is markup."""


def escaped(value: object) -> Html:
    """Markup as it is; anything else as its text, escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value).translate(_UNSEEN)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. `class_` is written class, `stroke_width` stroke-width; attributes that are None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object], separator: str = "") -> Html:
    """One after another."""
    return Html(escaped(separator).join(map(escaped, parts)))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], class_: str | None = None) -> Html:
    """A table that scrolls sideways where it is too wide; the first cell of a row is its heading."""
    body = [tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest)) for first, *rest in rows]
    heading = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    inner = tag("table", tag("thead", heading) if any(head) else "", tag("tbody", *body), class_=class_)
    return tag("div", inner, class_="scroll", tabindex=0)


def lines(texts: Iterable[object]) -> Html:
    """Texts under one another, the first one stronger."""
    return join(tag("div", text, class_="beside" if number else None) for number, text in enumerate(texts))


def section(title: str, *content: object) -> Html:
    """A titled part of the page."""
    return tag("section", tag("h3", title), *content)
