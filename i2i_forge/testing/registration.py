"""Promises of every component: its name, its documentation, its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from torch import nn

from i2i_forge.catalog.vocabulary import Component
from i2i_forge.engine.trainer import Trainer
from i2i_forge.measure import Metric
from i2i_forge.testing.subject import Subject

LEGAL = re.compile(r"[a-z][a-z0-9_-]*")
BASES = (object, nn.Module, Trainer, Metric)
BUILT_BY_THE_FRAMEWORK = ("trainers", "metrics", "formats")  # their constructors' arguments are nobody's options


def legal_name(subject: Subject) -> Iterator[str]:
    """Its name is lower-case, of letters, digits, _ and -."""
    if not LEGAL.fullmatch(subject.name):
        yield f"the name '{subject.name}' is not made of lower-case letters, digits, _ and - (and a letter first)"


def documented(subject: Subject) -> Iterator[str]:
    """Its docstring says in the first line what it is."""
    text = (inspect.getdoc(subject.component) or "").strip()
    if not text or text in [inspect.getdoc(base) for base in BASES]:
        yield "it has no docstring: write one whose first line says what it is; `forge plugins` and editors show it"


def documented_options(subject: Subject) -> Iterator[str]:
    """Its docstring explains every option."""
    text = inspect.getdoc(subject.component) or ""
    for option in _options(subject):
        if not re.search(rf"\b{re.escape(option)}\b[^:\n]*:", text):
            yield f"the docstring does not explain the option '{option}': write a line `{option}: ...` under `Args:`"


def readable_options(subject: Subject) -> Iterator[str]:
    """Its options can be read from its source, so that a recipe is checked before anything is imported."""
    described = _described(subject)
    if described is None:
        yield (
            f"it cannot be read from the source that it is registered: write catalog.{subject.kind}.add"
            f'("{subject.name}", ...) in register_components, with the name as it is'
        )
    elif described.options is None and subject.kind not in BUILT_BY_THE_FRAMEWORK:
        yield (
            "its options cannot be read from its source: define it in the plugin's file (or import it there from a "
            "module of the same package), without decorator, *args and **kwargs"
        )
    elif subject.kind == "trainers" and None in (described.roles, described.routes, described.tensors):
        yield "its roles, routes or tensors cannot be read from its source: write them out in the class"


def _described(subject: Subject) -> Component | None:
    wanted = (subject.kind, subject.name)
    return next((c for c in subject.plugin.provides if (c.kind, c.name) == wanted), None)


def _options(subject: Subject) -> list[str]:
    """The names of the constructor's parameters; a loss's tensors are no options."""
    if subject.kind in BUILT_BY_THE_FRAMEWORK:
        return []
    parameters = inspect.signature(subject.component).parameters.values()
    is_loss = subject.kind == "losses" and not inspect.isclass(subject.component)
    return [p.name for p in parameters if not (is_loss and p.default is p.empty and p.kind is not p.KEYWORD_ONLY)]


CHECKS = (legal_name, documented, documented_options, readable_options)
