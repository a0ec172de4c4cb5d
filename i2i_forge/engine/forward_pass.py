"""A method's forward pass as named tensors, each computed when first asked for and kept until the pass ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor, nn

from i2i_forge.engine.networks import DomainNetworks, requiring
from i2i_forge.engine.watcher import Node, Watcher
from i2i_forge.errors import ForgeError, PluginError, UsageError
from i2i_forge.system.distributed import ranks
from i2i_forge.system.seeding import generator, normal, seed_of

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


@dataclass
class Frame:
    """What surrounds a pass: whose turn it is, the inputs, the keys of its randomness, and who looks on."""

    phase: str
    step: int
    seed: int
    device: torch.device
    batch: Mapping[str, Tensor]
    networks: Mapping[str, Mapping[str, nn.Module]]  # role -> domain, or "shared"
    state: Mapping[str, Mapping[str, nn.Module]] = field(default_factory=dict)  # name -> route
    noise: str = "generator"  # of the recipe
    training: bool = True
    generator: torch.Generator | None = None  # inference: draws come from here
    watcher: Watcher = field(default_factory=Watcher)
    seed_layers: bool = True  # False: layers that draw for themselves do so as they would without a pass


class ForwardPass:
    """One direction through a method. Subclasses define its tensors, and may call them anything but what is here.

    A tensor may be called `noise`; such a pass draws by `super().noise(...)`.

    Attributes:
        src, dst: the networks of the domain we leave and of the domain we enter.
        reverse: the pass of the opposite direction, on the same batch.
        state: the trainer's registered state for this route, by name.
        training: False in inference, where nothing is learnt and what only training needs can be left out.
    """

    reverse: Any

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse what would break the pass, as it is defined. Raises PluginError."""
        super().__init_subclass__(**options)
        own = [pair for base in cls.mro() if base not in ForwardPass.mro() for pair in vars(base).items()]
        for name, value in own:
            if name in _MACHINERY or (name in _HELPERS and isinstance(value, tensor)):
                raise PluginError(
                    f"{cls.__name__}.{name} hides what every ForwardPass has under this name", fix="call it otherwise"
                )

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
        self._frame.watcher.read(name)
        if name not in self._frame.batch:
            fix = "give the trainer a batch with that key, or a data set that provides it"
            if self._frame.device.type == "meta":
                fix = (
                    "a step without data has only images of domains: use `forge check --no-step`; `forge train` gives "
                    "what its data set has, if no phase has `reuse`"
                )
            batch = sorted(self._frame.batch)
            raise UsageError(f"route '{self.route}' needs images '{name}'; the batch holds {batch}", fix=fix)
        return self._frame.batch[name]

    def noise(self, count: int, *shape: int, like: Tensor) -> Tensor:
        """Standard normal draws, shape count,*shape, with the dtype and device of `like`.

        They are a function of (seed, step, phase, route, tensor) and of the sample's place in the global batch: leaving
        a term out, resuming, or using more ranks changes none of them. In inference every rank has its own images.

        With the recipe's `noise: generator` the processor draws for all ranks; with `noise: counter` each sample is
        drawn on its own, where the networks are: for draws as large as images, on a GPU, of many ranks.
        """
        frame, name = self._frame, self._computing[-1] if self._computing else ""
        number, of = ranks.share() if self.training else (0, 1)
        key = frame.seed, "noise", frame.step, frame.phase, self.route, name, self._draws
        self._draws += 1
        if frame.noise == "counter" and frame.generator is None:
            places = range(number * count, (number + 1) * count)
            return normal(seed_of(*key), places, *shape, device=like.device).to(like.dtype)
        draws = frame.generator or generator(*key)
        everyone = torch.randn(count * of, *shape, generator=draws, device=draws.device)
        mine = everyone[number * count :][:count].to(like.dtype)
        if like.is_cuda and not mine.is_cuda:  # from pinned memory the copy waits for nothing on the device
            mine = mine.pin_memory()
        return mine.to(like.device, non_blocking=like.is_cuda)

    @classmethod
    def tensors(cls) -> dict[str, tensor[Any]]:
        """The named tensors of this pass, inherited ones included."""
        return {name: found for name in dir(cls) if isinstance(found := getattr(cls, name), tensor)}

    def _keep(self, names: Collection[str]) -> None:
        """Forget every value but these, of which the graph is forgotten."""
        self._values = {name: _detached(value) for name, value in self._values.items() if name in names}

    def _clear(self) -> None:
        """Forget every value, so that no graph outlives its turn."""
        self._values.clear()
        self._reused.clear()
        self.reverse = None

    def _argument(self, name: str) -> Any:
        """What a term's argument stands for: a tensor of this pass, else a further image of the batch, else the entered
        domain's network of that role."""
        if isinstance(getattr(type(self), name, None), tensor):
            return getattr(self, name)
        return self.input(name) if name in self._frame.batch else getattr(self.dst, name)

    def _value(self, wanted: tensor[Any]) -> Any:
        name, watcher = wanted.name, self._frame.watcher
        node = (self._frame.phase, self.route, name)
        watcher.asked(node)
        if name not in self._values:
            self._values[name] = self._obtain(wanted, node)
            watcher.computed(node, self._values[name])
        return self._values[name]

    def _obtain(self, wanted: tensor[Any], node: Node) -> Any:
        phase, route, name = node
        if name in self._given:
            return self._given[name]
        if name in self._reused:
            return _detached(self._reused[name]())
        if name in self._computing:
            raise ForgeError(f"tensor '{name}' needs itself: {' -> '.join([*self._computing, name])}")
        outer_draws, self._draws = self._draws, 0
        self._computing.append(name)
        try:
            watched = self._frame.watcher.computing(node)
            with torch.profiler.record_function(f"{phase}/{name}/{route}"), watched, self._seeded(name):
                return wanted.compute(self)
        except ForgeError:
            raise
        except Exception as error:
            error.add_note(f"while computing tensor '{name}' (phase {phase}, route {route})")
            raise
        finally:
            self._computing.pop()
            self._draws = outer_draws

    def _seeded(self, name: str) -> AbstractContextManager[None]:
        """Dropout and other layers that draw for themselves do so under this tensor's own key."""
        frame = self._frame
        if not frame.seed_layers:
            return nullcontext()
        seed = frame.seed if frame.generator is None else frame.generator.initial_seed()
        return seeded(
            seed_of(seed, "layers", frame.step, frame.phase, self.route, name, ranks.share()[0]), frame.device
        )


_HELPERS = frozenset({"src", "dst", "reverse", "route", "domains", "state", "training", "input", "tensors"})
_MACHINERY = frozenset({
    "_frame", "_given", "_reused", "_values", "_computing", "_draws",
    "_keep", "_clear", "_argument", "_value", "_obtain", "_seeded",
})  # fmt: skip


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Global random numbers from `seed` inside, and as they were afterwards."""
    # The generators themselves: torch.manual_seed takes thirty times as long, it also seeds devices that are not there.
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        number = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[number])
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
