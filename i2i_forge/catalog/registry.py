"""Registries: a name, what it builds, and which plugin brought it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from i2i_forge.errors import PluginError, suggest

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
NETWORKS = ("encoders", "decoders", "discriminators")
KINDS = (*NETWORKS, "losses", "trainers", "datasets", "metrics", "formats", "files")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered component and its owner."""

    name: str
    component: T
    plugin: str

    @property
    def origin(self) -> str:
        """Where the component is defined: `i2i_forge_plugins.distances.l1`."""
        module = getattr(self.component, "__module__", type(self.component).__module__)
        return f"{module}.{getattr(self.component, '__qualname__', type(self.component).__qualname__)}"


class Registry(Generic[T]):
    """The components of one kind, by name.

    Two plugins may bring the same name: then the bare name is an error that names both, and `plugin:name` says which.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.plugin = "(by hand)"  # the plugin that is registering now; set by Catalog.registering
        self.lost: dict[str, str] = {}  # what plugins that cannot be used would have brought -> which, and why
        self._entries: list[Entry[T]] = []

    def add(self, name: str, component: T) -> None:
        """Register a class or function. Raises PluginError when this plugin has already used the name, or it is odd."""
        if not isinstance(name, str) or not name.strip() or ":" in name:
            raise PluginError(f"{self.kind}: {name!r} cannot be a name", fix="use text without a colon")
        if self.kind == "losses" and not name.isidentifier():
            raise PluginError(f"losses: '{name}' cannot be called in a term", fix="use letters, digits and _")
        entry = Entry(name, component, self.plugin)
        if taken := self._find(f"{self.plugin}:{name}"):
            raise PluginError(
                f"{self.kind}: '{name}' is already {taken[0].origin}; {entry.origin} cannot have the same name",
                fix="give one of them another name",
            )
        self._entries.append(entry)

    def entry(self, name: str) -> Entry[T]:
        """The entry called `name`, or `plugin:name`. Raises PluginError when it is unknown or ambiguous."""
        found, bare = self._find(name), name.rpartition(":")[2]
        if not found and bare in self.lost:
            raise PluginError(
                f"{self.kind}: '{name}' belongs to plugin {self.lost[bare]}",
                fix="`forge plugins` lists the plugins and what is wrong with them",
            )
        if not found:
            raise PluginError(
                f"{self.kind}: there is no '{name}'",
                fix=f"{suggest(bare, self, what=self.kind)}. `forge plugins` lists which plugin brings what",
            )
        if len(found) > 1:
            raise PluginError(
                f"{self.kind}: '{name}' is both " + " and ".join(f"{e.origin} (plugin {e.plugin})" for e in found),
                fix="say which: " + " or ".join(f"{e.plugin}:{name}" for e in found),
            )
        return found[0]

    def get(self, name: str) -> T:
        """The component called `name`."""
        return self.entry(name).component

    def clashes(self) -> list[list[Entry[T]]]:
        """The entries that share a name."""
        return [found for name in self if len(found := self._find(name)) > 1]

    def discard(self, plugin: str) -> None:
        """Forget what a plugin registered."""
        self._entries = [entry for entry in self._entries if entry.plugin != plugin]

    def entries(self) -> list[Entry[T]]:
        """Every entry, sorted by name."""
        return sorted(self._entries, key=lambda entry: entry.name)

    def __contains__(self, name: str) -> bool:
        return bool(self._find(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({entry.name for entry in self._entries}))

    def __len__(self) -> int:
        return len({entry.name for entry in self._entries})

    def _find(self, name: str) -> list[Entry[T]]:
        plugin, _, bare = name.rpartition(":")
        return [entry for entry in self._entries if entry.name == bare and plugin in ("", entry.plugin)]


class Catalog:
    """All registries. A plugin is handed one in its `register_components` hook."""

    def __init__(self) -> None:
        self.encoders = Registry[Callable[..., "nn.Module"]]("encoders")
        self.decoders = Registry[Callable[..., "nn.Module"]]("decoders")
        self.discriminators = Registry[Callable[..., "nn.Module"]]("discriminators")
        self.losses = Registry[Callable[..., "Tensor | nn.Module"]]("losses")
        # The classes of the others are those of rooms that know the catalog.
        self.trainers = Registry[Any]("trainers")
        self.datasets = Registry[Any]("datasets")
        self.metrics = Registry[Any]("metrics")
        self.formats = Registry[Any]("formats")
        self.files = Registry[Any]("files")

    def registries(self) -> list[Registry[Any]]:
        """The registries, in the order of KINDS."""
        return [getattr(self, kind) for kind in KINDS]

    def registering(self, plugin: str) -> None:
        """What is added from now on belongs to `plugin`."""
        for registry in self.registries():
            registry.plugin = plugin

    def discard(self, plugin: str) -> None:
        """Forget what a plugin registered."""
        for registry in self.registries():
            registry.discard(plugin)
