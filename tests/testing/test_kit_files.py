"""Formats of image files that are wrong in one way each, and what the kit says of them."""

import sys
from types import ModuleType

import numpy as np
import pytest
from test_tutorial import BLOCKS

(CODE,) = [block.text for block in BLOCKS if block.file == "mine/ascii_grid.py"]
MODULE = sys.modules["ascii_grid_of_the_tutorial"] = ModuleType("ascii_grid_of_the_tutorial")  # for pickle
exec(CODE, vars(MODULE))
AsciiGrid, StoredGrid = MODULE.AsciiGrid, MODULE.StoredGrid


def described(made):
    """With the docstring of the tutorial's format."""
    made.__doc__ = AsciiGrid.__doc__
    return made


def reading(change):
    """The tutorial's format, where an opened file is changed."""

    class Changed(AsciiGrid):
        def open(self, path):
            stored = super().open(path)
            change(stored)
            return stored

    return described(Changed)


def forgetful(stored):
    object.__setattr__(stored.header, "dtype", "float64")


def mapped(stored):
    object.__setattr__(stored.header, "is_raw", True)


def shifted(stored):
    stored.__class__ = type("Shifted", (StoredGrid,), {"read": lambda self, at, rows, columns: self.array() + 1})


def local(stored):
    stored.file = open(stored.path)  # noqa: PTH123, SIM115


def padded(stored):
    """Zeros where numbers are missing."""

    def array(self):
        words = self.path.read_text().split()[12:]
        values = np.zeros(self.header.rows * self.header.columns, np.float32)
        values[: len(words)] = np.array(words[: len(values)], np.float32)
        return values.reshape(1, self.header.rows, self.header.columns)

    stored.__class__ = type("Padded", (StoredGrid,), {"array": array})


class Greedy(AsciiGrid):
    def sniff(self, head, path):
        return True


class Blind(AsciiGrid):
    def sniff(self, head, path):
        return head.startswith(b"COLUMNS")


class Dotless(AsciiGrid):
    endings = ("asc",)


class Rounded(AsciiGrid):
    def write(self, path, codes, header, like):
        super().write(path, codes.round(2), header, like)


class ReadOnly:
    endings, needs = (".asc",), {}

    def sniff(self, head, path):
        return False


def test_the_tutorials_format_is_right(failures):
    assert failures("files", AsciiGrid) == {}


@pytest.mark.parametrize(("component", "check", "says"), [
    (reading(forgetful), "header_is_true", "says float64 (1, 11, 13), its codes are float32"),
    (reading(mapped), "header_is_true", "no map of the file"),
    (reading(shifted), "regions", "differs from `array`"),
    (reading(local), "goes_to_workers", "cannot be pickled once it is opened"),
    (reading(padded), "damage_is_found", "read as if it were whole"),
    (Greedy, "knows_its_own", "takes a file that begins"), (Blind, "knows_its_own", "does not know a file"),
    (Dotless, "runs", "each with its dot"), (Rounded, "comes_back", "do not come back"),
    (ReadOnly, "runs", "it is not written"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_format_that_breaks_a_promise_is_found(failures, component, check, says):
    assert says in failures("files", described(component)).get(check, "")
