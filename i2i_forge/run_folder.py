"""A run's folder: one run at a time, the recipe it is for, and its records.

recipe.yaml  resolved.yaml  env.json  metrics.jsonl  log.txt  samples/  checkpoints/  run.lock
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from i2i_forge.attribution import attribution, plugin_versions
from i2i_forge.errors import CheckpointError, ForgeError, RecipeError, ResourceError, UsageError
from i2i_forge.files import append_line, lines_in, open_to_append, write_whole
from i2i_forge.plugins import Host
from i2i_forge.recipe import Recipe, read_recipe
from i2i_forge.recipe_names import find_recipe
from i2i_forge.run_lock import LOCK, RunLock

PACKAGES = ("i2i-forge", "torch", "torchvision", "kornia", "numpy", "pillow", "safetensors")
FREE = ("steps", "run")  # may differ between a run and its resumption: they change no number
FREE_DATA = ("workers", "timeout", "root")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a disk says that takes no more


class RunFolder:
    """Paths and records of a run. Raises UsageError when the folder cannot be written."""

    def __init__(self, path: Path) -> None:
        self._is_at(path)

    def _is_at(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "log.txt"
        self.resolved = path / "resolved.yaml"

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run. Raises CheckpointError when there is none."""
        folder = cls(Path(path))
        if not folder.resolved.is_file():
            beside = Path("runs") / folder.path
            meant = f"did you mean {beside}?" if (beside / folder.resolved.name).is_file() else ""
            raise CheckpointError(
                f"{path}: there is no run here (no resolved.yaml)",
                fix=meant or "give a folder that `forge train --run` made",
            )
        return folder

    def prepare(self) -> None:
        """Make the folder and see that it can be written. Raises UsageError, or ResourceError on a full disk."""
        for folder in (self.path, self.checkpoints, self.samples):
            with self._writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        with self._writing(self.log):
            open_to_append(self.log).close()

    @contextmanager
    def locked(self) -> Iterator[RunLock]:
        """Hold the folder for this process. Raises UsageError when another process does."""
        self._take_lock()
        try:
            yield self._lock
        finally:
            self._lock.release()

    def follow(self) -> str:
        """Go where the locked folder is now, or make it again if it was deleted; what happened, "" for nothing.

        Raises:
            ForgeError: another folder has its name, and its own name is not known.
        """
        before = self.path
        if self._lock.is_at(before) or not self._lock.can_tell:
            return ""
        if now := self._lock.folder():
            self._is_at(now)
            return f"{before} was renamed: the run goes on in {now}"
        if (before / LOCK).exists() or not self._lock.is_deleted():
            raise ForgeError(
                f"{before} is not the folder any more that this run began in: it was renamed or replaced",
                fix="give it its name back; the same command then goes on from its last checkpoint",
            )
        self.prepare()
        self._lock.release()
        self._take_lock()
        return f"{before} was deleted, or its {LOCK}: what is missing is made again"

    def _take_lock(self) -> None:
        with self._writing(self.path / LOCK):
            self._lock = RunLock(self.path)

    @contextmanager
    def _writing(self, file: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f" ({file.name})" if file != self.path else ""
            why = f"the run folder {self.path} cannot be written{what}: {error.strerror or error}"
            if error.errno in FULL:
                raise ResourceError(why, fix="free disk space, or choose another folder with --run") from error
            raise UsageError(why, fix="choose another with --run") from error

    def _write(self, file: Path, text: str) -> None:
        with self._writing(file):
            write_whole(file, text)

    def remember(self, recipe: Recipe, source: str | Path, host: Host, hardware: str) -> None:
        """Write down the recipe and the environment. Raises CheckpointError when the run is of another recipe."""
        if self.resolved.is_file():
            self._check_same(recipe)
        else:
            with suppress(RecipeError):  # a recipe that a program made has no file
                self._write(self.path / "recipe.yaml", find_recipe(source).read_text(encoding="utf-8"))
        self._write(
            self.resolved,
            f"# {recipe.name}: everything this run is made of; it can be trained from\n{recipe.to_yaml()}",
        )
        environment = {
            "recipe": recipe.name,
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "plugins": plugin_versions(host),
            "components": attribution(recipe, host),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "hardware": hardware,
        }
        self._write(self.path / "env.json", json.dumps(environment, indent=2) + "\n")

    def recipe(self) -> Recipe:
        """The recipe of the run, under the name it was trained by."""
        recipe = read_recipe(self.resolved)
        try:
            name = json.loads((self.path / "env.json").read_text())["recipe"]
        except (OSError, ValueError, KeyError):
            return recipe  # a copy without its record of the environment
        return recipe.named(str(name))

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        append_line(self.metrics, json.dumps(entry))

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The whole lines of metrics.jsonl, and what they hold; what a kill has cut off is left out.

        Raises:
            OSError: the file cannot be read.
        """
        for line in lines_in(self.metrics) if self.metrics.exists() else ():
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    yield line, entry

    def forget_after(self, step: int) -> None:
        """Drop the records of steps that a resumed run will take again."""
        with self._writing(self.metrics):
            kept = [line for line, entry in self.records() if entry["step"] <= step]
            if self.metrics.exists():
                write_whole(self.metrics, "".join(f"{line}\n" for line in kept))

    def _check_same(self, recipe: Recipe) -> None:
        before, now = _identity(self.recipe()), _identity(recipe)
        changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        if changed:
            shown = "; ".join(f"{key}: {before.get(key)} there, {now.get(key)} here" for key in changed[:3])
            raise CheckpointError(
                f"{self.path} holds a run of another recipe (differences: {len(changed)}): {shown}",
                fix="choose another --run folder, or give the settings of that run",
            )


def newest_run(root: Path = Path()) -> Path:
    """The run below `root` (runs/NAME, demo/run, NAME) whose checkpoint is the newest.

    Raises:
        CheckpointError: there is none.
    """
    manifests = [file for depth in ("*", "*/*") for file in root.glob(f"{depth}/checkpoints/step-*/MANIFEST.json")]
    runs = {file.parents[2]: file.stat().st_mtime for file in sorted(manifests, key=lambda file: file.stat().st_mtime)}
    found = [run for run in runs if (run / "resolved.yaml").is_file()]
    if not found:
        raise CheckpointError(
            f"there is no trained run in {root.resolve()} (looked for */checkpoints and */*/checkpoints)",
            fix="name a run's folder, or train one: forge train munit_synthetic",
        )
    return found[-1]


def _identity(recipe: Recipe) -> dict[str, Any]:
    """The settings that make the numbers, flat."""
    flat: dict[str, Any] = {}

    def walk(value: Any, keys: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*keys, key))
        elif keys[0] not in FREE and not (keys[0] == "data" and keys[-1] in FREE_DATA):
            flat[".".join(keys)] = value

    walk(recipe.model_dump(mode="json"), ())
    return flat
