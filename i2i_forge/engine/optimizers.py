"""Optimizers: one per role, with the settings of the recipe entry that names the role."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.errors import RecipeError, suggest
from i2i_forge.recipe.terms import Weight

RULES: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


class RoleOptimizer:
    """Updates one role's networks, of all domains.

    Args:
        parameters: by name, as in the checkpoint.
        rule: a key of RULES.
        lr: the learning rate that the schedule multiplies.
        schedule: a factor as a function of the step (0-based).
        options: further keyword arguments of the rule.

    Attributes:
        skips: whether an update can be called off on the device.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], *, rule: str, lr: float, schedule: Weight,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.names = list(parameters)
        self.parameters = list(parameters.values())
        self.lr, self.schedule = lr, schedule
        self.skips = rule in ("adam", "adamw") and all(p.device.type in ("cpu", "cuda") for p in self.parameters)
        kernel = {"fused": True} if self.skips else {}  # one pass over memory for each update
        try:
            self.torch = _rule(rule, options)(self.parameters, lr=lr, **options, **kernel)
        except (TypeError, ValueError, LookupError, RuntimeError) as error:
            raise RecipeError(f"optimizers: {rule}: {error}", fix="change that option of the optimizer") from error

    def step(self, step: int, off: Tensor | None = None) -> None:
        """One update with the gradients that are there, at the learning rate of this step.

        Args:
            step: the number of steps done before this one.
            off: one number on the device; where it is 1, nothing is updated. For rules that can skip.
        """
        self.torch.found_inf = off  # type: ignore[attr-defined]  # what torch's fused kernels call it
        for group in self.torch.param_groups:
            group["lr"] = self.rate(step)
        self.torch.step()

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.lr * self.schedule.at(step)

    def clear(self) -> None:
        """Drop the gradients."""
        self.torch.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """The rule's memory, by "parameter|quantity"."""
        saved = self.torch.state_dict()["state"]
        return {f"{self.names[i]}|{key}": value for i, entry in saved.items() for key, value in entry.items()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave. Raises ValueError when it is of other parameters."""
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in state.items():
            parameter, _, key = name.rpartition("|")
            place = self.names.index(parameter)
            wanted = () if key == "step" else tuple(self.parameters[place].shape)
            if tuple(value.shape) != wanted:  # fused kernels would read and write past its end
                raise ValueError(f"{name} has shape {tuple(value.shape)}, not {wanted}")
            if key != "step":  # in the parameter's layout: fused kernels read both in the order of memory
                value = torch.empty_like(self.parameters[place]).copy_(value)
            entries.setdefault(place, {})[key] = value
        for place, entry in entries.items():
            if differing := entry.keys() ^ _remembered(self.torch):
                raise ValueError(f"{self.names[place]} has not the rule's memory ({', '.join(sorted(differing))})")
        self.torch.load_state_dict({"state": entries, "param_groups": self.torch.state_dict()["param_groups"]})


@dataclass(frozen=True)
class OptimizerEntry:
    """Optimizers that share settings: their gradients are clipped together."""

    name: str
    roles: Mapping[str, RoleOptimizer]
    clip: float | None = None

    def clip_gradients(self, trained: Collection[str]) -> dict[nn.Parameter, Tensor]:
        """Clip the gradients of the trained roles; the norm of each before that."""
        parameters = [p for role, optimizer in self.roles.items() if role in trained for p in optimizer.parameters]
        having = {p: p.grad for p in parameters if p.grad is not None}
        norms = torch._foreach_norm(list(having.values())) if having else ()
        if norms and self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(having, self.clip, torch.linalg.vector_norm(torch.stack(norms)))
        return dict(zip(having, norms, strict=True))


def _rule(name: str, options: Mapping[str, Any]) -> Callable[..., torch.optim.Optimizer]:
    if name not in RULES:
        raise RecipeError(f"optimizers: there is no rule '{name}'", fix=suggest(name, RULES))
    signature = inspect.signature(RULES[name]).parameters
    known = set(signature) - {"params", "lr", "foreach", "fused", "capturable"}
    for option, value in options.items():
        if option not in known:
            raise RecipeError(f"optimizers: {name} has no option '{option}'", fix=suggest(option, known))
        if isinstance(signature[option].default, bool) and not isinstance(value, bool):
            raise RecipeError(f"optimizers: {name}: {option} is {value!r:.60}", fix="write true or false")
    return RULES[name]


def _remembered(optimizer: torch.optim.Optimizer) -> set[str]:
    """What a rule keeps of each parameter."""
    one = nn.Parameter(torch.zeros(1))
    one.grad = torch.zeros(1)
    settings = {key: value for key, value in optimizer.param_groups[0].items() if key not in ("params", "fused")}
    rule: Any = type(optimizer)
    alike = rule([{**settings, "params": [one]}])
    alike.step()
    return set(alike.state[one])
