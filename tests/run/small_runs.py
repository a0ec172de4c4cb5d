"""Every shipped method in runs of seconds, stopped anywhere; checkpoints that were changed."""

import hashlib
import json

from shrink import shrunk

from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run
from i2i_forge.system import distributed

RECIPES = {  # name -> changes
    "munit_synthetic": ("ema={roles: [style_encoder, decoder], half_life: 20}",),
    "unit_synthetic": (),
    "pix2pix_synthetic": (),
    "bicyclegan_synthetic": (),
    "cyclegan_synthetic": ("state.image_pool.size=1",),
    "augmented_cyclegan_synthetic": (),
    "cyclegan_noise_synthetic": ("state.image_pool.size=1",),
    "munit_synthetic in bf16": ("precision=bf16", "data.size=64"),
}
STEPS = 7
# 5 images in global batches of 2: the third step crosses the end of the first epoch, the fifth ends the second
STOPS = {
    "after the first": 1, "before an end": 2, "within the step of an end": 3, "in the second epoch": 4,
    "at an end": 5, "after an end": 6,
}  # fmt: skip
WORKERS = [(0, 0), (2, 2), (2, 1)]  # before the stop, after it


def small_recipe(host, name, *changes):
    """A shipped recipe with tiny networks and few images."""
    name = name.partition(" ")[0]
    ranks = distributed.world_size()
    images = (f"data.count={5 * ranks}", f"data.batch={2 * ranks}")
    quiet = ("run.checkpoint_every=1000", "run.sample_every=1000")
    return read_recipe(name, set=[*shrunk(read_recipe(name), host.catalog, "unused"), *images, *quiet, *changes])


def train(host, folder, recipe):
    """Train; returns the digest of all state."""
    run = Run(recipe, host, folder)
    run.train()
    return checkpoint.digest(run.trainer)


def straight(host, name, folder):
    """The digest of a run without a stop."""
    return train(host, folder, small_recipe(host, name, *RECIPES[name], f"steps={STEPS}"))


def resumed(host, name, folder, stop, workers):
    """The digest of a run that was stopped and resumed."""
    for steps, number in zip((stop, STEPS), workers, strict=True):
        recipe = small_recipe(host, name, *RECIPES[name], f"steps={steps}", f"data.workers={number}")
        digest = train(host, folder, recipe)
    return digest


def sealed(folder):
    """Give a checkpoint that was changed a manifest that fits."""
    data = {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "MANIFEST.json"}
    files = {name: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for name, d in data.items()}
    version = json.loads(data["state.json"])["format"]
    (folder / "MANIFEST.json").write_text(json.dumps({"format": version, "files": files}))
