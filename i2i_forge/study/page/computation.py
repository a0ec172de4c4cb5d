"""What a step computes for each term, and what it leaves out."""

from __future__ import annotations

from i2i_forge.engine.trace import Trace
from i2i_forge.engine.watcher import Node
from i2i_forge.study.page.markup import Html, join, table, tag
from i2i_forge.study.page.run_report import RunReport


def computation(run: RunReport, trace: Trace) -> Html:
    """Each phase's terms with the tensors and networks that are computed for them, and the tensors that are pruned."""
    found, seen = [], set[Node]()
    for phase in run.recipe.phases:
        rows = [
            (join([term, tag("span", f" {route}", class_="beside")]), _computed(trace, nodes, phase, seen))
            for (owner, term, route), nodes in ((name.split("/"), nodes) for name, nodes in trace.terms.items())
            if owner == phase
        ]
        if rows:
            pruned = join(map(_code, trace.pruned[phase]), ", ") if trace.pruned[phase] else "nothing"
            found += [tag("h4", phase), table(("term", "computed for it, with the networks that run"), rows),
                      tag("p", "Pruned, for no term needs it: ", pruned, class_="note")]  # fmt: skip
    numbers = sum(trace.parameters.values())
    total = f"{trace.network_calls} network calls in a step; {numbers:,} parameters."
    return join([tag("p", total), *found])


def _computed(trace: Trace, nodes: list[Node], phase: str, seen: set[Node]) -> Html:
    """What a term needs that none before it has needed."""
    new = dict.fromkeys(needed for node in nodes for needed in trace.closure(node) if needed not in seen)
    seen.update(new)
    return join((_tensor(node, phase, trace.calls.get(node, [])) for node in new), ", ") or Html("nothing new")


def _tensor(node: Node, phase: str, networks: list[str]) -> Html:
    owner, _, name = node
    whose = "" if owner == phase else f"{owner}'s "
    return join([whose, _code(name), tag("b", f" {', '.join(networks)}") if networks else ""])


def _code(name: str) -> Html:
    return tag("code", name)
