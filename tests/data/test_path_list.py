import pickle
from pathlib import Path

import numpy as np
import pytest

from i2i_forge.data.path_list import Names, Pairs, Paths, compact, compact_pairs

TEXTS = ["data/a.png", "data/b/ü 2.png", "data/c\nd.png"]
PATHS = [Path(text) for text in TEXTS]


@pytest.fixture(params=["whole", "prefix", "part"])
def paths(request):
    if request.param == "whole":
        return compact(PATHS)
    names = Names(text.removeprefix("data/") for text in TEXTS)
    if request.param == "prefix":
        return Paths(names, "data/")
    return Paths(Names(["x", *reversed(TEXTS), "y"]), places=np.array([3, 2, 1]))


def test_a_list_of_paths_in_every_way_it_is_used(paths):
    assert list(paths) == PATHS and paths == PATHS and paths == tuple(PATHS) and len(paths) == 3
    assert paths != PATHS[:2] and paths != [*PATHS[:2], Path("other")] and paths != "data"
    assert list(paths.texts()) == TEXTS and paths.text(-1) == TEXTS[-1]
    assert paths[-1] == PATHS[-1] and paths[np.int64(1)] == PATHS[1]
    assert paths[1:] == PATHS[1:] and paths[::-1] == PATHS[::-1] and paths[1:][1:] == PATHS[2:] and not paths[3:]
    assert paths.take(np.array([2, 0])) == [PATHS[2], PATHS[0]]
    assert PATHS[1] in paths and Path("other") not in paths and paths.index(PATHS[2]) == 2
    assert list(reversed(paths)) == PATHS[::-1]
    for index in (3, -4):
        with pytest.raises(IndexError):
            paths[index]
    assert compact(paths) is paths
    assert pickle.loads(pickle.dumps(paths)) == PATHS
    assert repr(paths).startswith("<3 paths: data/a.png, ")


def test_parts_share_the_names(paths):
    assert paths[1:].names is paths.names


def test_no_paths_at_all():
    assert compact([]) == [] and len(Names([])) == 0 and list(Names([])) == []


def test_pairs():
    pairs = compact_pairs([(PATHS[0], PATHS[1]), (PATHS[2], PATHS[0])])
    assert pairs == [(PATHS[0], PATHS[1]), (PATHS[2], PATHS[0])] and len(pairs) == 2
    assert pairs.swapped() == [(PATHS[1], PATHS[0]), (PATHS[0], PATHS[2])]
    assert isinstance(pairs[1:], Pairs) and pairs[1:] == [(PATHS[2], PATHS[0])]
    assert pairs.take(np.array([1])) == pairs[1:] and compact_pairs(pairs) is pairs
