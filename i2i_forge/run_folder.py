"""A run's folder: one run at a time, the recipe it is for, and its records.

recipe.yaml  resolved.yaml  env.json  metrics.jsonl  log.txt  samples/  checkpoints/  run.lock
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from i2i_forge.attribution import attribution, plugin_versions
from i2i_forge.errors import CheckpointError, RecipeError, UsageError
from i2i_forge.plugins import Host
from i2i_forge.recipe import Recipe, read_recipe
from i2i_forge.recipe_names import find_recipe
from i2i_forge.run_identity import differences, settings_of

PACKAGES = ("i2i-forge", "torch", "torchvision", "kornia", "numpy", "pillow", "safetensors")


class RunFolder:
    """Paths and records of a run. Raises UsageError when the folder cannot be written."""

    def __init__(self, path: Path) -> None:
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
        """Make the folder and see that it can be written."""
        try:
            for folder in (self.path, self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
            with self.log.open("a"):
                pass
        except OSError as error:
            raise UsageError(
                f"the run folder {self.path} cannot be written: {error.strerror}", fix="choose another with --run"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a lock whose process is gone is taken over."""
        with (self.path / "run.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UsageError(
                    f"{self.path} is in use by another run ({file.read().strip() or 'unknown process'})",
                    fix="wait for it, stop it, or choose another --run folder",
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield
            file.truncate(0)

    def remember(self, recipe: Recipe, source: str | Path, host: Host, hardware: str) -> None:
        """Write down the recipe and the environment. Raises CheckpointError when the run is of another recipe."""
        if self.resolved.is_file():
            if changed := differences(settings_of(self.recipe()), settings_of(recipe)):
                self.refuse(changed)
        else:
            with suppress(RecipeError):  # a recipe that a program made has no file
                _write_whole(self.path / "recipe.yaml", find_recipe(source).read_text(encoding="utf-8"))
        _write_whole(
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
        _write_whole(self.path / "env.json", json.dumps(environment, indent=2) + "\n")

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
        with self.metrics.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the records of steps that a resumed run will take again."""
        if not self.metrics.is_file():
            return
        kept = []
        for line in self.metrics.read_text(errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, TypeError, KeyError):
                continue  # cut off by a kill
        _write_whole(self.metrics, "".join(f"{line}\n" for line in kept))

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
    runs = {file.parents[2]: file.stat().st_mtime for file in sorted(manifests, key=lambda file: file.stat().st_mtime)}
    found = [run for run in runs if (run / "resolved.yaml").is_file()]
    if not found:
        raise CheckpointError(
            f"there is no trained run in {root.resolve()} (looked for */checkpoints and */*/checkpoints)",
            fix="name a run's folder, or train one: forge train munit_synthetic",
        )
    return found[-1]


def _write_whole(file: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was."""
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(text)
    partial.replace(file)
