"""Shipped methods in runs of seconds on measured images of any number of channels: folders of npy files, 64x64."""

import numpy as np
from loaded import CATALOG
from shrink import shrunk

from i2i_forge.recipe.reading import read_recipe

SIDE = 64
OWN = {  # method -> what its synthetic recipe needs said
    "pix2pix": ("networks.discriminator.channels=pair",),
    "cyclegan": (),
    "munit": (),
    "unit": (),
    "bicyclegan": ("networks.encoder.channels=~",),
    "augmented_cyclegan": (),
}
PAIRED = ("pix2pix", "bicyclegan")


def folders(root, a, b):
    """trainA, trainB (4 images), testA and testB (1), of so many channels, from 0 to 1000."""
    for domain, channels in (("A", a), ("B", b)):
        for split, count in (("train", 4), ("test", 1)):
            (root / f"{split}{domain}").mkdir(parents=True)
            draws = np.random.default_rng([ord(domain), count])
            for number in range(count):
                codes = draws.integers(0, 1001, (channels, SIDE, SIDE)).astype(np.uint16)
                np.save(root / f"{split}{domain}" / f"{number}.npy", codes if channels > 1 else codes[0])
    return root


def described(channels):
    """A domain of so many channels, as `--set` takes it."""
    axes = "" if channels == 1 else ", axes: {axis0: channels}"
    return f"{{channels: {channels}, range: [0, 1000]{axes}}}"


def measured(method, a, b, *changes, root="unused", drop=None):
    """The synthetic recipe of a method with tiny networks, on such folders."""
    name = f"{method}_synthetic"
    tiny = [each for each in shrunk(read_recipe(name), CATALOG, root) if "count=" not in each and "size=" not in each]
    kind = ("paired", "data.paired=~", "data.layout=two_folders") if method in PAIRED else ("unpaired",)
    data = (f"data.use={kind[0]}_folders", *kind[1:], f"data.root={root}", f"data.size={SIDE}")
    spaces = (f"domains.a={described(a)}", f"domains.b={described(b)}")
    quiet = ("run.sample_every=1000", "run.checkpoint_every=1000")
    dropped = ["generator.identity"] if method == "cyclegan" and a != b else []
    return read_recipe(name, set=[*tiny, *data, *spaces, *quiet, *OWN[method], *changes],
                       drop=dropped if drop is None else drop)  # fmt: skip
