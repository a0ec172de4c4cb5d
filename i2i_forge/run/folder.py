"""A run's folder: one run at a time, the recipe it is for, and its records.

recipe.yaml  resolved.yaml  env.json  metrics.jsonl  log.txt  samples/  checkpoints/  run.lock
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from i2i_forge.catalog.loading import Host
from i2i_forge.errors import FULL, CheckpointError, ForgeError, RecipeError, ResourceError, UsageError
from i2i_forge.recipe.names import find_recipe
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.run.identity import attribution, differences, plugin_versions, settings_of
from i2i_forge.run.lock import LOCK, RunLock
from i2i_forge.system.files import append_line, lines_in, one_line, open_to_append, read_record, read_text, write_whole
from i2i_forge.system.outputs import refuse_special, refuse_to_replace

PACKAGES = ("i2i-forge", "torch", "torchvision", "kornia", "numpy", "pillow", "safetensors")


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
        """Make the folder and see that it can be written, and that nothing in it leads elsewhere.

        Raises:
            UsageError: it cannot be written, or holds links or special files.
            ResourceError: the disk is full.
        """
        for folder in (self.path, self.checkpoints, self.samples):
            with self._writing(folder):
                refuse_special(folder.iterdir() if folder.is_dir() else ())
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
        if self._lock.is_at(before):
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
            if changed := differences(settings_of(self.recipe()), settings_of(recipe)):
                self.refuse(changed)
        else:
            with suppress(RecipeError):  # a recipe that a program made has no file
                text, copy = read_text(find_recipe(source)), self.path / "recipe.yaml"
                refuse_to_replace([copy], lambda file: read_text(file) == text)
                self._write(copy, text)
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
        name = read_record(self.path / "env.json").get("recipe", recipe.name)  # a copy may lack it
        return recipe.named(one_line(str(name)))

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        append_line(self.metrics, json.dumps(entry))

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The whole lines of metrics.jsonl, and their numbers; what a kill has cut off is left out.

        Raises:
            OSError: the file cannot be read.
        """
        for line in lines_in(self.metrics) if self.metrics.exists() else ():
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    yield line, {name: value for name, value in entry.items() if isinstance(value, int | float)}

    def forget_after(self, step: int) -> None:
        """Drop the records of steps that a resumed run will take again."""
        with self._writing(self.metrics):
            kept = [line for line, entry in self.records() if entry["step"] <= step]
            if self.metrics.exists():
                write_whole(self.metrics, "".join(f"{line}\n" for line in kept))

    def refuse(self, changed: str) -> NoReturn:
        """Raise the CheckpointError of a run that is of another recipe; `changed` says what differs."""
        run = shlex.quote(str(self.path))
        raise CheckpointError(
            f"{self.path} holds a run of another recipe: {changed}",
            fix="give the settings of that run, or begin a new run with its weights: "
            f"add `--init-from {run} --run {run}-2` to this command",
        )


def newest_run(root: Path = Path()) -> Path:
    """The run below `root` (runs/NAME, demo/run, NAME) whose checkpoint is the newest.

    Raises:
        CheckpointError: there is none.
    """
    manifests = [file for depth in ("*", "*/*") for file in root.glob(f"{depth}/checkpoints/step-*/MANIFEST.json")]
    found = [file for file in manifests if (file.parents[2] / "resolved.yaml").is_file()]
    if not found:
        raise CheckpointError(
            f"there is no trained run in {root.resolve()} (looked for */checkpoints and */*/checkpoints)",
            fix="name a run's folder, or train one: forge train munit_synthetic",
        )
    return max(found, key=lambda file: file.stat().st_mtime).parents[2]
