"""EXIF and TIFF orientations: what turns rows and columns upright, and back."""

from __future__ import annotations

from i2i_forge.data import Codes

# orientation -> whether rows and columns change places, and which of them then run the other way round
TURNS = {1: (False, 1, 1), 2: (False, 1, -1), 3: (False, -1, -1), 4: (False, -1, 1),
         5: (True, 1, 1), 6: (True, 1, -1), 7: (True, -1, -1), 8: (True, -1, 1)}  # fmt: skip


def upright(codes: Codes, orientation: int) -> Codes:
    """A view of *,rows,columns as stored, turned upright. An orientation that there is not counts as 1."""
    swap, rows, columns = TURNS.get(orientation, TURNS[1])
    turned: Codes = (codes.swapaxes(-1, -2) if swap else codes)[..., ::rows, ::columns]
    return turned


def as_stored(codes: Codes, orientation: int) -> Codes:
    """The inverse of `upright`."""
    swap, rows, columns = TURNS.get(orientation, TURNS[1])
    flipped: Codes = codes[..., ::rows, ::columns]
    return flipped.swapaxes(-1, -2) if swap else flipped


def swaps(orientation: int) -> bool:
    """Whether rows and columns change places."""
    return TURNS.get(orientation, TURNS[1])[0]
