"""Checkpoints that no trainer wrote: of numbers that say the step, and of other content with a manifest that fits."""

import hashlib
import json

import torch

from i2i_forge.run import checkpoint

SIZE = 50_000  # numbers: files of 200 KB


class Weights:
    """Stands in for a trainer: its weights are the step."""

    ema, spaces = None, {}

    def __init__(self, value):
        self.value = float(value)

    def state_dict(self):
        return {"decoder.a.weight": torch.full((SIZE,), self.value)}

    def optimizer_state(self):
        return {"decoder|a.weight|exp_avg": torch.full((SIZE,), -self.value)}


def forged(run, step=4, *, version=1, **files):
    """Replace files of a checkpoint; a name's `_` stands for the dot. `version` is the manifest's format."""
    folder = checkpoint.folder_of(run / "checkpoints", step)
    manifest = {**json.loads((folder / "MANIFEST.json").read_text()), "format": version}
    for name, change in files.items():
        data = change((folder / name.replace("_", ".")).read_bytes())
        (folder / name.replace("_", ".")).write_bytes(data)
        manifest["files"][name.replace("_", ".")] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
