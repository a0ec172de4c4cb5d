"""Volumes come to one orientation by flips and permutations, and back."""

from itertools import permutations, product

import numpy as np
import pytest

from i2i_forge.data import orientation_of

ALONG = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
LETTERS = ["".join(axes) for pairs in permutations(("LR", "PA", "SI")) for axes in product(*pairs)]
HEAD = np.arange(4 * 5 * 6).reshape(4, 5, 6)  # slices, rows, columns
PLACE = np.array([[0, 0, 2, -7], [0, 3, 0, 11], [5, 0, 0, 13]], np.float64)


def stored_as(letters):
    """HEAD as a file has it whose axes, the fastest first, go to these letters: k,j,i and the affine."""
    axes = ["SPL".index({"R": "L", "A": "P", "I": "S"}.get(each, each)) for each in letters[::-1]]
    codes, steps, origin = HEAD.transpose(axes), PLACE[:, axes], PLACE[:, 3].copy()
    for axis, letter in enumerate(letters[::-1]):
        if letter in "RAI":
            codes = np.flip(codes, axis)
            origin += steps[:, axis] * (codes.shape[axis] - 1)
            steps[:, axis] *= -1
        assert (np.sign(steps[:, axis]) == ALONG[letter]).all()
    return codes, np.column_stack([steps, origin])


@pytest.mark.parametrize("letters", LETTERS)
def test_every_orientation_comes_to_one_and_back(letters):
    codes, affine = stored_as(letters)
    found = orientation_of(affine, codes.shape)
    assert found.letters == letters and found.spacing == (5, 3, 2)
    turned = found.turn(codes)
    assert np.array_equal(turned, HEAD) and np.shares_memory(turned, codes) and np.array_equal(found.affine, PLACE)
    assert np.array_equal(found.turn_back(turned), codes) and found.grid == orientation_of(PLACE, HEAD.shape).grid
    volumes = np.stack([codes, codes + 1])
    assert np.array_equal(found.turn(volumes), [HEAD, HEAD + 1])
    assert np.array_equal(found.turn_back(found.turn(volumes)), volumes)


@pytest.mark.parametrize(("degrees", "letters"), [(12, "LPS"), (44, "LPS"), (45, "LPS"), (46, "PRS"), (135, "RAS")])
def test_an_oblique_axis_follows_the_nearest_one(degrees, letters):
    """Of equal cosines i takes the lower axis, L."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    found = orientation_of(np.array([[0, -sin, cos, 0], [0, cos, sin, 0], [1, 0, 0, 0]]), (2, 3, 4))

    assert found.letters == letters and found.spacing == pytest.approx((1, 1, 1))


def test_other_places_are_other_grids_and_rounding_is_none():
    grid = orientation_of(PLACE, HEAD.shape).grid
    assert orientation_of(PLACE + 1e-9, HEAD.shape).grid == grid
    moved = PLACE + np.array([[0, 0, 0, 0.01], [0] * 4, [0] * 4])
    assert orientation_of(moved, HEAD.shape).grid != grid != orientation_of(PLACE, (3, 5, 6)).grid


@pytest.mark.parametrize("column", [[0, 0, 0], [np.nan, 0, 0], [0, np.inf, 0], [1, 1, 0]])
def test_axes_in_a_plane_are_refused(column):
    affine = np.column_stack([[1, 0, 0], [0, 1, 0], column, [0, 0, 0]])
    with pytest.raises(ValueError, match="do not span a volume"):
        orientation_of(affine, (2, 3, 4))
