"""Folders of images in the layouts that packs know, and packs of them."""

import functools

import numpy as np
from PIL import Image

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.packs import pack, plan_pack

SMALL = 6_000  # bytes of a shard: a few images


def noise(folder, names, size=(24, 16), seed=0):
    """Images that cannot be taken for one another."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(folder / name)


def unpaired(root, count=7):
    """trainA, trainB, testA; names that do not pair, sub-folders, endings of several kinds."""
    noise(root / "trainA", [f"{i}.png" for i in range(count)] + ["sub/x.y.JPG"], seed=1)
    noise(root / "trainB", [f"b{i}.jpg" for i in range(count + 3)], size=(20, 20), seed=2)
    noise(root / "testA", ["t1.png", "t2.bmp"], seed=3)
    return root


def pairs(root, count=9):
    """trainA, trainB, testA, testB; images of a name belong together, and b has another order than a."""
    for number, (name, end) in enumerate((("trainA", "png"), ("trainB", "jpg"), ("testA", "png"), ("testB", "png"))):
        names = [f"{i}.{end}" for i in range(count if "train" in name else 2)]
        noise(root / name, [*names, f"x.{end}", f"x.1.{end}"] if "train" in name else names, seed=number)
    return root


def side_by_side(root, count=9):
    """train and val."""
    noise(root / "train", [f"{i}.png" for i in range(count)], size=(40, 16), seed=1)
    noise(root / "val", ["v.png"], size=(40, 16), seed=2)
    return root


LAYOUTS = {"unpaired": unpaired, "pairs": pairs, "side_by_side": side_by_side}


def packed(root, out, shard_bytes=SMALL, **options):
    """A pack of a folder; returns its folder."""
    pack(plan_pack(root, **options), out, shard_bytes=shard_bytes)
    return out


@functools.cache
def catalog():
    """All plugins', found once."""
    return load_plugins().catalog


def dataset(name, **options):
    """A data set, small."""
    return catalog().datasets.get(name)(**{"size": 16, **options})
