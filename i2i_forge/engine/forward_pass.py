"""A method's forward pass as named tensors, each computed when first asked for and kept until the pass ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, overload

import torch
from torch import Tensor, nn

from i2i_forge.engine.requiring import requiring
from i2i_forge.errors import ForgeError, RecipeError, UsageError, suggest
from i2i_forge.system import distributed
from i2i_forge.system.seeding import generator, seed_of

T = TypeVar("T")


class tensor(Generic[T]):
    """Marks a method of a ForwardPass as a named tensor: `self.content` computes it once."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> tensor[T]: ...
    @overload
    def __get__(self, instance: ForwardPass, owner: type) -> T: ...
    def __get__(self, instance: ForwardPass | None, owner: type) -> Any:
        return self if instance is None else instance._value(self)


class Watcher(Protocol):
    """Is told of every tensor that is asked for, and of every computation."""

    def asked(self, forward: ForwardPass, name: str) -> None: ...
    def computing(self, forward: ForwardPass, name: str) -> AbstractContextManager[None]: ...


@dataclass
class Frame:
    """What surrounds a pass: whose turn it is, the inputs, and the keys of its randomness."""

    phase: str
    step: int
    seed: int
    device: torch.device
    batch: Mapping[str, Tensor]
    networks: Mapping[str, Mapping[str, nn.Module]]  # role -> domain, or "shared"
    state: Mapping[str, Mapping[str, nn.Module]] = field(default_factory=dict)  # name -> route
    training: bool = True
    generator: torch.Generator | None = None  # inference: draws come from here
    watcher: Watcher | None = None


class DomainNetworks:
    """The networks of one domain by role: `self.src.content_encoder`."""

    def __init__(self, networks: Mapping[str, Mapping[str, nn.Module]], domain: str) -> None:
        self._networks, self._domain = networks, domain

    def __contains__(self, role: str) -> bool:
        """Whether the recipe has this role; an optional one may be left out."""
        return role in self._networks

    def __getattr__(self, role: str) -> Any:
        if role.startswith("_"):
            raise AttributeError(role)
        if role not in self._networks:
            raise RecipeError(
                f"networks.{role}: the recipe has none, and a tensor needs it", fix=suggest(role, self._networks)
            )
        per_domain = self._networks[role]
        network = per_domain.get(self._domain, per_domain.get("shared"))
        if network is None:
            raise RecipeError(
                f"networks.{role}: domain '{self._domain}' has none, and a tensor needs it",
                fix=f"name the domain too: `per: [{', '.join([*per_domain, self._domain])}]`",
            )
        return network


class ForwardPass:
    """One direction through a method. Subclasses define its tensors.

    Attributes:
        src, dst: the networks of the domain we leave and of the domain we enter.
        reverse: the pass of the opposite direction, on the same batch.
        state: the trainer's registered state for this route, by name.
        training: False in inference, where nothing is learnt and what only training needs can be left out.
    """

    reverse: Any

    def __init__(self, frame: Frame, route: str, domains: tuple[str, str], given: Mapping[str, Any]) -> None:
        self.route, self.domains = route, domains
        self.src, self.dst = (DomainNetworks(frame.networks, domain) for domain in domains)
        self.state = {name: modules[route] for name, modules in frame.state.items()}
        self.training = frame.training
        self._frame = frame
        self._given = given
        self._reused: dict[str, Callable[[], Any]] = {}
        self._values: dict[str, Any] = {}
        self._computing: list[str] = []
        self._draws = 0

    @tensor
    def source(self) -> Tensor:
        """Images of the domain we leave: N,3,H,W in [-1, 1]."""
        return self.input(self.domains[0])

    @tensor
    def target(self) -> Tensor:
        """Images of the domain we enter, not the source's translations unless the data is paired."""
        return self.input(self.domains[1])

    def input(self, name: str) -> Tensor:
        """A tensor of the batch. Raises UsageError when the batch has none of that name."""
        if name not in self._frame.batch:
            with_data = "give the trainer a batch with that key, or a data set that provides it"
            without = (
                "a step without data has only images of domains: use `forge check --no-step`; `forge train` gives "
                "what its data set has, if no phase has `reuse`"
            )
            raise UsageError(
                f"route '{self.route}' needs images '{name}'; the batch holds {sorted(self._frame.batch)}",
                fix=without if self._frame.device.type == "meta" else with_data,
            )
        return self._frame.batch[name]

    def noise(self, count: int, *shape: int, like: Tensor) -> Tensor:
        """Standard normal draws, shape count,*shape, with the dtype and device of `like`.

        They are a function of (seed, step, phase, route, tensor) and of the sample's place in the global batch: leaving
        a term out, resuming, or using more ranks changes none of them. In inference every rank has its own images.
        """
        frame = self._frame
        number, shares = distributed.share() if self.training else (0, 1)
        draws = frame.generator
        if draws is None:
            name = self._computing[-1] if self._computing else ""
            draws = generator(frame.seed, "noise", frame.step, frame.phase, self.route, name, self._draws)
        self._draws += 1
        everyone = torch.randn(count * shares, *shape, generator=draws, device=draws.device)
        mine = everyone[number * count :][:count]
        return mine.to(dtype=like.dtype, device=like.device)

    def keep(self, names: Collection[str]) -> None:
        """Forget every value but these, of which the graph is forgotten."""
        for name in list(self._values):
            value = self._values.pop(name)
            if name in names:
                self._values[name] = _detached(value)

    def clear(self) -> None:
        """Forget every value, so that no graph outlives its turn."""
        self._values.clear()
        self._reused.clear()
        self.reverse = None

    def argument(self, name: str) -> Any:
        """What a term's argument stands for: a tensor of this pass, else the entered domain's network of that role."""
        return getattr(self if isinstance(getattr(type(self), name, None), tensor) else self.dst, name)

    def watched(self, name: str) -> AbstractContextManager[None]:
        """Tells the watcher, if there is one, that what runs inside is computed for `name`."""
        return nullcontext() if self._frame.watcher is None else self._frame.watcher.computing(self, name)

    @classmethod
    def tensors(cls) -> dict[str, tensor[Any]]:
        """The named tensors of this pass, inherited ones included."""
        return {name: found for name in dir(cls) if isinstance(found := getattr(cls, name), tensor)}

    def _value(self, wanted: tensor[Any]) -> Any:
        name = wanted.name
        if self._frame.watcher is not None:
            self._frame.watcher.asked(self, name)
        if name not in self._values:
            self._values[name] = self._obtain(wanted)
        return self._values[name]

    def _obtain(self, wanted: tensor[Any]) -> Any:
        name = wanted.name
        if name in self._given:
            return self._given[name]
        if name in self._reused:
            return _detached(self._reused[name]())
        if name in self._computing:
            raise ForgeError(f"tensor '{name}' needs itself: {' -> '.join([*self._computing, name])}")
        outer_draws, self._draws = self._draws, 0
        self._computing.append(name)
        try:
            with torch.profiler.record_function(f"{self._frame.phase}/{name}/{self.route}"), self._surroundings(name):
                return wanted.compute(self)
        except ForgeError:
            raise
        except Exception as error:
            error.add_note(f"while computing tensor '{name}' (phase {self._frame.phase}, route {self.route})")
            raise
        finally:
            self._computing.pop()
            self._draws = outer_draws

    def _surroundings(self, name: str) -> AbstractContextManager[None]:
        """Dropout and other layers that draw for themselves do so under this tensor's own key."""
        frame = self._frame
        if frame.watcher is not None:
            return frame.watcher.computing(self, name)
        seed = frame.seed if frame.generator is None else frame.generator.initial_seed()
        return seeded(
            seed_of(seed, "layers", frame.step, frame.phase, self.route, name, distributed.share()[0]), frame.device
        )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Global random numbers from `seed` inside, and as they were afterwards."""
    # The generators themselves: torch.manual_seed takes thirty times as long, it also seeds devices that are not there.
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        generators.append(torch.cuda.default_generators[torch.cuda._utils._get_device_index(device, optional=True)])
    before = [each.get_state() for each in generators]
    for each in generators:
        each.manual_seed(seed)
    try:
        yield
    finally:
        for each, state in zip(generators, before, strict=True):
            each.set_state(state)


def frozen(network: nn.Module) -> Callable[..., Any]:
    """The network as a function whose gradient reaches its inputs, not its weights: `frozen(self.dst.encoder)(x)`."""

    def call(*inputs: Any) -> Any:
        with requiring(dict.fromkeys(network.parameters(), False)):
            return network(*inputs)

    return call


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, list | tuple):
        return type(value)(_detached(item) for item in value)
    return value
