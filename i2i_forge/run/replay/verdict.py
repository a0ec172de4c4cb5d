"""Whether a run can be trusted: its checkpoints are whole, and a step taken again gives what its log says."""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from i2i_forge.errors import CheckpointError, DivergedError
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import FORMAT_VERSION, Checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.replay.player import Player, logged
from i2i_forge.system.files import read_bytes
from i2i_forge.system.hardware import hardware

FURTHEST = 100  # steps from a checkpoint to the next logged one that are taken again
# Relative, for each step taken again on other hardware or with other packages. Measured between one and two threads:
# 1e-7 after one step of fp32, 0.014 after eleven (Adam's first steps amplify), 0.002 after one step of bf16.
TOLERANCE = {"fp32": 3e-3, "bf16": 1e-2}
LOOSEST = 0.1
SMALL = 1e-3  # losses below it are compared as if they were it


@dataclass(frozen=True)
class Comparison:
    """A logged step beside the same step taken again.

    Attributes:
        begun, step: steps done in the checkpoint, and at the logged step.
        terms: how many losses were compared.
        difference: the largest relative difference, and whose it is; 0 means bit for bit.
        tolerance: what is allowed; 0 where the environment is that of the run.
        changed: what differs from the run's environment, as text.
    """

    begun: int
    step: int
    terms: int
    difference: float
    worst: str
    tolerance: float
    changed: str

    @property
    def agrees(self) -> bool:
        """Whether the step is as it was logged."""
        return self.difference <= self.tolerance


@dataclass
class Verdict:
    """What speaks for and against a run.

    Attributes:
        checkpoints: name -> "good", or what is wrong with it.
        replayed: the comparison, None when there was nothing to compare with, for the reason `not_replayed`.
    """

    checkpoints: dict[str, str] = field(default_factory=dict)
    replayed: Comparison | None = None
    not_replayed: str = ""

    @property
    def damaged(self) -> list[str]:
        """The checkpoints that cannot be used."""
        return [name for name, text in self.checkpoints.items() if not text.startswith("good")]

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the run."""
        return not self.damaged and (self.replayed is None or self.replayed.agrees)


def verify(run: RunFolder, player: Callable[[], Player]) -> Verdict:
    """Check every checkpoint, and take a logged step again from the newest one that has a logged step after it.

    Args:
        run: is only read.
        player: makes the run's player; called when there is something to replay.
    """
    verdict, good = Verdict(), list[Checkpoint]()
    for step in checkpoint.list_steps(run.checkpoints):
        folder = checkpoint.folder_of(run.checkpoints, step)
        try:
            found = checkpoint.read(folder)
            good.append(found)
            older = f" (format {found.format}, read as {FORMAT_VERSION})" if found.format < FORMAT_VERSION else ""
            verdict.checkpoints[folder.name] = f"good{older}"
        except CheckpointError as error:
            said = error.message.removeprefix(f"checkpoint {folder.name} ")
            verdict.checkpoints[folder.name] = said.removeprefix("is ")
    log = dict(logged(run))
    pairs = [(found, min(later)) for found in good if (later := [step for step in log if step > found.step])]
    near = [(found, step) for found, step in pairs if step - found.step <= FURTHEST]
    if not near:
        gap = min((step - found.step for found, step in pairs), default=0)
        verdict.not_replayed = (
            f"the next logged step is {gap} steps after a checkpoint, more than {FURTHEST}"
            if gap else "no logged step follows a good checkpoint"
        )  # fmt: skip
        return verdict
    found, step = near[-1]
    try:
        verdict.replayed = _compared(player(), found, step, log[step])
    except CheckpointError as error:
        verdict.not_replayed = f"{error.message} ({error.fix})"
    return verdict


def _compared(player: Player, found: Checkpoint, step: int, then: Mapping[str, float]) -> Comparison:
    player.check_repeatable(found)
    checkpoint.restore(found, player.trainer)
    changed = _changed(player)
    try:
        now = player.take_steps(found.step, step)
    except DivergedError as error:
        return Comparison(found.step, step, 0, math.inf, error.message, 0, changed)
    differences = {name: _difference(then.get(name), now.get(name)) for name in {**then, **now}}
    worst = max(differences, key=differences.__getitem__, default="")
    tolerance = min(LOOSEST, TOLERANCE[player.recipe.precision] * (step - found.step)) if changed else 0
    return Comparison(found.step, step, len(differences), differences.get(worst, 0), worst, tolerance, changed)


def _difference(then: float | None, now: float | None) -> float:
    """Relative; infinite when one side has no such loss."""
    if then is None or now is None:
        return math.inf
    if then == now or (math.isnan(then) and math.isnan(now)):
        return 0.0
    gap = abs(then - now) / max(abs(then), abs(now), SMALL)
    return gap if math.isfinite(gap) else math.inf


def _changed(player: Player) -> str:
    """How this environment differs from the run's: where it does, the last bits may."""
    device = player.trainer.device
    try:
        then = json.loads(read_bytes(player.folder.path / "env.json"))
        packages, hardware_then = dict(then["packages"]), str(then["hardware"])
    except (OSError, ValueError, KeyError, TypeError):
        return "env.json cannot be read"
    now = {name: importlib.metadata.version(name) for name in packages}
    said = [
        f"{name} {packages[name]} there, {version} here" for name, version in now.items() if version != packages[name]
    ]
    if hardware_then != hardware(device):
        said.append(f"{hardware_then} there, {hardware(device)} here")
    return "; ".join(said) or ("" if device.type == "cpu" else f"sums on {device.type} need not repeat to the last bit")
