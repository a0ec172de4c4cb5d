"""The tree of errors, their exit codes, and the words they are said in."""

import errno
import os
import re
from pathlib import Path

import pytest

from i2i_forge import errors
from i2i_forge.errors import MAX_LISTED, ForgeError, Interrupted, RecipeError, suggest


def classes():
    return {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, Exception)}


def test_the_tree_in_the_docstring_is_the_real_one():
    drawn = dict(re.findall(r"(\w+Error|Interrupted) +([\d, ]+\d)", errors.__doc__))
    assert set(drawn) == set(classes())
    for name, code in drawn.items():
        if name != "Interrupted":
            assert classes()[name].exit_code == int(code), name
        assert issubclass(classes()[name], ForgeError)


def test_an_interruption_exits_as_shells_do():
    assert [Interrupted("stopped", signal_number=number).exit_code for number in (2, 15)] == [130, 143]


def test_the_text_has_the_next_step_on_its_own_line():
    assert str(RecipeError("r.yaml:1:1: no", fix="do it")) == "r.yaml:1:1: no\nfix: do it"
    assert str(RecipeError("r.yaml:1:1: no")) == "r.yaml:1:1: no"


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("cyled", ["source", "cycled"], "did you mean 'cycled'? There is: cycled, source"),
        ("zzz", ["b", "a"], "there is: a, b"),
        ("l1", [], "there are no losses at all"),
        ("", ["a"], "there is: a"),
    ],
)
def test_suggestions(name, known, text):
    assert suggest(name, known, what="losses") == text


def test_a_suggestion_of_nothing_has_a_grammar():
    assert suggest("x", [], what="plugin") == "there is no plugin at all"
    assert suggest("x", []) == "there is no such thing at all"


def test_a_long_list_is_cut_and_says_how_much_is_missing():
    text = suggest("name7x", [f"name{i}" for i in range(100)])
    assert text.startswith("did you mean 'name7'? There is: name0, ")
    assert text.endswith(f" and {100 - MAX_LISTED} more")
    assert len(text) < 300


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, 8), (errno.EDQUOT, 8), (errno.EFBIG, 8), (errno.EIO, 8), (None, 8), (errno.EACCES, 2),
     (errno.ENOENT, 2), (errno.ENOTDIR, 2), (errno.EROFS, 2), (errno.ENAMETOOLONG, 2)],
)  # fmt: skip
def test_a_full_or_failing_disk_is_told_from_a_place_that_is_refused(number, code):
    error = OSError(number, os.strerror(number)) if number else OSError("encoder error -2")
    raised = errors.disk_error(Path("x.png"), error)
    assert raised.exit_code == code
    assert str(raised).startswith(f"x.png cannot be written: {error.strerror or 'encoder error -2'}\nfix: ")
