"""The objective as an equation: for each phase, what is minimized over which networks."""

from __future__ import annotations

from i2i_forge.recipe.terms import Term
from i2i_forge.study.page.markup import Html, join, tag
from i2i_forge.study.page.run_report import RunReport


def objective(run: RunReport) -> Html:
    """One equation for each phase that minimizes something."""
    return join(_equation(run, phase) for phase, written in run.recipe.phases.items() if written.minimize)


def _equation(run: RunReport, phase: str) -> Html:
    written = run.recipe.phases[phase]
    lines = [
        (name, "" if route == "*" else route, term)
        for name, by_route in run.recipe.terms(phase).items()
        for route, term in by_route.items()
    ]
    rows = [_row(number, *line) for number, line in enumerate(lines)]
    said = [f"every {written.every} steps"] if written.every > 1 else []
    said += [f"on the stream {written.stream}"] if written.stream != "main" else []
    said += [f"{tensor} from the {owner} phase" for tensor, owner in written.reuse.items()]
    head = tag("h4", phase, tag("span", f" {'; '.join(said)}", class_="beside") if said else "")
    operators = tag("div", _under("min", written.trains), _under("∑", run.routes or ["routes"]), class_="operators")
    return tag(
        "div", head, tag("div", operators, tag("table", *rows), class_="scroll equation", tabindex=0), class_="phase"
    )


def _row(number: int, name: str, route: str, term: Term) -> Html:
    arguments = [tag("i", argument) for argument in term.arguments]
    arguments += [tag("span", f"{key}={value!r}", class_="option") for key, value in term.options.items()]
    call = join([term.loss.replace(":", "."), "(", join(arguments, ", "), ")"])
    label = join([name, tag("span", f" {route}", class_="beside") if route else ""])
    return tag(
        "tr", tag("td", "+" if number else ""), tag("td", term.weight.text, class_="weight"), tag("td", "·"),
        tag("td", call), tag("th", label, scope="row"), class_="zero" if term.weight.is_zero else None,
    )  # fmt: skip


def _under(operator: str, names: list[str]) -> Html:
    """An operator with what it runs over below it."""
    below = [tag("small", name) for name in names]
    return tag("span", tag("span", operator, class_="operator"), *below, class_="under")
