"""What libraries say of a damaged file becomes an error; what they warn of a sound one is not said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2i_forge.data import reading


@contextmanager
def quietly(path: Path) -> Iterator[None]:
    """Use a library on a file, without its warnings. Raises BadImage or DataError as `reading` does."""
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
