"""The backward pass, node by node: torch's engine asks CUDA's driver for streams, and there is none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def backward(
    roots: Sequence[Tensor], gradients: Sequence[Tensor], *, create_graph: bool = False, wanted: Sequence[Tensor] = ()
) -> tuple[Tensor | None, ...]:
    """As `torch.autograd.backward`, or `torch.autograd.grad` where some tensors' gradients are wanted.

    Args:
        roots: tensors with a graph.
        gradients: of the roots.
        create_graph: whether the gradients have one too.
        wanted: whose gradients are returned; without any those of the leaves are added up in their `grad`.
    """
    pending = _dependencies(roots)
    arrived: dict[Any, dict[int, Tensor]] = defaultdict(dict)  # at a node, by the number of its output
    places = {_place(tensor): number for number, tensor in enumerate(wanted)}
    found: list[Tensor | None] = [None] * len(wanted)
    for root, gradient in zip(roots, gradients, strict=True):
        _add(arrived, root.grad_fn, root.output_nr, gradient)
    ready: list[Any] = [node for node in dict.fromkeys(root.grad_fn for root in roots) if not pending[node]]
    with torch.set_grad_enabled(create_graph):
        while ready:
            node = ready.pop()
            held, leaf = arrived.pop(node, {}), getattr(node, "variable", None)
            for place, value in held.items():
                if (number := places.get((id(leaf) if leaf is not None else node, place))) is not None:
                    found[number] = value
            if leaf is not None:
                if held and not wanted:
                    leaf.grad = held[0] if leaf.grad is None else leaf.grad + held[0]
                continue
            results = _called(node, held) if held else ()
            for number, (following, place) in enumerate(node.next_functions):
                if following is None:
                    continue
                if number < len(results) and results[number] is not None:
                    _add(arrived, following, place, results[number])
                pending[following] -= 1
                if not pending[following]:
                    ready.append(following)
    return tuple(found)


def _dependencies(roots: Sequence[Tensor]) -> Counter[Any]:
    """How many nodes give something to a node."""
    counts: Counter[Any] = Counter()
    seen: set[Any] = set()
    stack: list[Any] = [root.grad_fn for root in roots]
    while stack:
        node: Any = stack.pop()
        if node not in seen:
            seen.add(node)
            following = [each for each, _ in node.next_functions if each is not None]
            counts.update(following)
            stack += following
    return counts


def _place(tensor: Tensor) -> tuple[Any, int]:
    return (id(tensor), 0) if tensor.grad_fn is None else (tensor.grad_fn, tensor.output_nr)


def _add(arrived: dict[Any, dict[int, Tensor]], node: Any, place: int, value: Tensor) -> None:
    """As the engine does: broadcasting is undone, and types are restored."""
    leaf = getattr(node, "variable", None)
    like = leaf if leaf is not None else node._input_metadata[place]
    value = value if value.shape == torch.Size(like.shape) else value.sum_to_size(like.shape)
    value = value if value.dtype == like.dtype else value.to(like.dtype)
    held = arrived[node]
    held[place] = value if place not in held else held[place] + value


def _called(node: Any, held: dict[int, Tensor]) -> tuple[Any, ...]:
    call = node if callable(node) else node.apply  # a function that is written in Python
    results = call(*(held.get(place) for place in range(len(node._input_metadata))))
    return results if isinstance(results, tuple) else (results,)
