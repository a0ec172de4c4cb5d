"""Checkpoints of other content, with a manifest that fits it."""

import hashlib
import json

from i2i_forge.run import checkpoint


def forged(run, step=4, *, version=1, **files):
    """Replace files of a checkpoint; a name's `_` stands for the dot. `version` is the manifest's format."""
    folder = checkpoint.folder_of(run / "checkpoints", step)
    manifest = {**json.loads((folder / "MANIFEST.json").read_text()), "format": version}
    for name, change in files.items():
        data = change((folder / name.replace("_", ".")).read_bytes())
        (folder / name.replace("_", ".")).write_bytes(data)
        manifest["files"][name.replace("_", ".")] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
