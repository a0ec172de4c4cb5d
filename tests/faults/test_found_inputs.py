"""What fuzzing found (benchmarks/fuzz.py) stays mended, and the fuzzer works."""

import tempfile
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from i2i_forge_benchmarks.fuzz_targets import NAMES, Target, find
from i2i_forge_benchmarks.fuzz_targets.search import Known, keep, next_input, problem, shrunk

FOUND = Path(__file__).parent / "found"
INPUTS = sorted(file for file in FOUND.glob("*/*") if file.suffix != ".txt")


@pytest.fixture(autouse=True)
def temporary_files(tmp_path, monkeypatch):
    """Those of the targets are in the test's folder, where the other tests of faults allow them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def checked(name: str, data: bytes) -> None:
    assert problem(find(name), data)[0] == ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", INPUTS, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_found_is_mended(file):
    data = file.read_bytes()
    tracemalloc.start()  # it sees what is asked for, touched or not
    try:
        checked(file.parent.name, data)
        assert tracemalloc.get_traced_memory()[1] < find(file.parent.name).megabytes * 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_their_changes_do_no_harm(name):
    target, random = find(name), Random(0)
    seeds = target.seeds()
    for data in [*seeds, *(next_input(target, seeds, random) for _ in range(100))]:
        checked(name, data)


def test_a_reader_that_fails_is_found_and_its_input_made_short(tmp_path):
    def read(data):
        if b"bad" in data:
            raise KeyError(data)

    target = Target(read, seeds=lambda: [b"good"])
    what, _ = problem(target, b"x" * 50 + b"bad" + b"y" * 50)
    assert what.startswith("KeyError in test_found_inputs.py read")
    assert shrunk(b"x" * 50 + b"bad" + b"y" * 50, lambda part: problem(target, part)[0] != "") == b"bad"
    file = keep(tmp_path / "found", b"bad", what)
    assert (file.read_bytes(), file.with_suffix(".txt").read_text()) == (b"bad", f"{what}\n")


def test_an_input_that_takes_a_new_way_is_noticed():
    known = Known([find("image-list").modules[0]])
    read = find("image-list").read
    tried = [known.grows(lambda data=data: problem(Target(read, list), data)[1]) for data in (b"x\n", b"x\n", b"")]
    assert tried == [True, False, True]
