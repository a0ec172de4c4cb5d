"""Domains and small files of codes for the tests of data."""

from dataclasses import replace

import numpy as np
from loaded import CATALOG

from i2i_forge.data import Domains, Header, ImageSpace, Stored, grid_digest
from i2i_forge.data.file_formats import Files
from i2i_forge.recipe.domains import Domain

FILES = Files(CATALOG.files)


def space(**said):
    """The space of a description."""
    return ImageSpace(Domain.model_validate(said))


def described(**domains):
    """Domains as a recipe describes them."""
    return Domains({name: space(**said) for name, said in domains.items()}, FILES)


def header_of(array, axes=(), **said):
    """A header of codes (*axes, channels, rows, columns)."""
    rows, columns = array.shape[-2:]
    found = Header(
        rows=rows, columns=columns, channels=("",) * array.shape[-3], axes=tuple(zip(axes, array.shape, strict=False)),
        dtype=array.dtype.name, grid=grid_digest(rows, columns),
    )  # fmt: skip
    return replace(found, **said)


class Codes(Stored):
    """Codes in memory as if they were a file."""

    def __init__(self, path, array, axes=(), **said):
        self.path, self.codes, self.header = path, array, header_of(array, axes, **said)
        self.reads = 0

    def array(self):
        self.reads += 1
        return self.codes

    def stamps(self):
        return []


def write(path, codes, axes=(), **said):
    """Write codes (*axes, channels, rows, columns) by the format of the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = np.asarray(codes)
    form = FILES.format(FILES.named(FILES.ending(path)))
    form.write(path, codes, header_of(codes, axes, **said), None)
    return path
