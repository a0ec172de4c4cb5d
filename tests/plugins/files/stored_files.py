"""What tests of file formats share: opening as the framework does, and what is refused."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from loaded import CATALOG

from i2i_forge.data import BadImage
from i2i_forge.data.file_formats import Files
from i2i_forge.errors import DataError

FILES = Files(CATALOG.files)
U = np.random.default_rng(0).integers(0, 65536, (33, 47)).astype(np.uint16)  # 19..65503


def held(path):
    """The header and all codes of a file, after it was sent to another process; planes are slices of the whole."""
    stored = pickle.loads(pickle.dumps(FILES.open(path)))
    codes = stored.array()
    assert codes.shape == stored.header.shape and codes.dtype == stored.header.dtype and codes.dtype.isnative
    assert isinstance(codes.base, np.memmap) or isinstance(codes, np.memmap) or not stored.header.is_raw
    for place in np.ndindex(*(length for _, length in stored.header.axes)):
        at = {name: index for (name, _), index in zip(stored.header.axes, place, strict=True)}
        assert np.array_equal(
            stored.read(at, slice(1, None, 2), slice(0, 3)), codes[place][:, 1::2, :3], equal_nan=True
        )
    return stored.header, codes


def refused(path, cause, fix="", kind=BadImage, *, read=False):
    """That a file is refused, by its header or when it is read: names itself, the cause and the next step."""
    with pytest.raises(DataError, match=cause) as caught:
        stored = FILES.open(path)
        assert read, "its header was accepted"
        stored.array()
    assert isinstance(caught.value, kind) and str(path.parent) in caught.value.message
    assert caught.value.fix and re.search(fix, caught.value.fix)


def written_like(path, codes=None, /, like=True, **changes):
    """The file that is written from what another holds, or from changes of it; opened."""
    stored = FILES.open(path)
    copy = path.with_name(f"copy_{len(list(path.parent.iterdir()))}_{path.name}")
    header = replace(stored.header, **changes)
    name = FILES.format_of(path)
    FILES.format(name).write(copy, stored.array() if codes is None else codes, header, stored if like else None)
    return copy
