"""Every method on any number of ranks, in float64: some steps from the checkpoint that another number of ranks left."""

import functools

import torch
from loaded import CATALOG
from shrink import shrunk

from i2i_forge import build_trainer
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.streams import build_streams
from i2i_forge.system import distributed

ONE_TERM = "phases.generator.minimize={reconstruction: '1 * l1(reconstruction, source)'}"
PENALTY = "phases.discriminator.minimize.r1=5 * r1(discriminator, target)"
EACH_NORMED = [f"networks.{role}.norm=instance" for role in ("encoder", "decoder", "discriminator")]
CASES = {  # name -> recipe, changes
    "munit": ("munit_synthetic", ["optimizers.default.clip=0.5"]),
    "munit, parts of networks": ("munit_synthetic", [ONE_TERM]),
    "munit, gradient penalty": ("munit_synthetic", [PENALTY]),
    "unit": ("unit_synthetic", []),
    "cyclegan": ("cyclegan_synthetic", []),
    "bicyclegan": ("bicyclegan_synthetic", ["data.batch=8"]),  # a rank's images are halved
    "augmented_cyclegan": ("augmented_cyclegan_synthetic", ["data.batch=8"]),  # its batch norms need two images
    "pix2pix, instance norm": ("pix2pix_synthetic", EACH_NORMED),
    "pix2pix": ("pix2pix_synthetic", []),
}
BATCH_NORM = ("augmented_cyclegan", "pix2pix")  # a rank's statistics are those of its own images
STEPS = [(0, 2), (2, 3)]  # the first and the last, before and after the number of ranks changes


@functools.cache
def recipe_of(case):
    """The recipe of a case, tiny."""
    name, own = CASES[case]
    quiet = ["data.batch=4", "data.count=20", "ema={roles: [discriminator], half_life: 100}"]
    narrow = [change.replace("width=4", "width=2") for change in shrunk(read_recipe(name), CATALOG, "unused")]
    return read_recipe(name, set=[*narrow, *quiet, *own])


def steps(case, first, last, source=None):
    """The trainer after its steps first..last-1, and their reports."""
    trainer = build_trainer(recipe_of(case), dtype=torch.float64, catalog=CATALOG)
    if source:
        checkpoint.restore(checkpoint.newest(source, print), trainer)
    return trainer, take(trainer, case, first, last)


def take(trainer, case, first, last):
    """The reports of a trainer's next steps."""
    streams, _ = build_streams(recipe_of(case), CATALOG)
    return [trainer.step(streams["main"].batch(step), step) for step in range(first, last)]


def work(rank, ranks, jobs):
    """A rank: (case, first step, last step, folder to begin from, folder to write) each."""
    for case, first, last, source, target in jobs:
        trainer, reports = steps(case, first, last, source)
        distributed.check_in_step(trainer.parameters(), last)
        others = distributed.everyone(checkpoint.of_this_rank(trainer))[1:]
        reports = distributed.everyone(reports)
        if rank == 0:
            checkpoint.save(target, last, trainer, {"ranks": ranks}, 1, others)
            torch.save(reports, target / "reports.pt")
