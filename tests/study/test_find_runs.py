"""Which runs a report is about, and what they are called."""

import pytest

from i2i_forge.errors import DataError
from i2i_forge.study.page.find import find_runs


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*folders):
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "resolved.yaml").touch()
        return tmp_path

    return make


def named(*paths):
    return [(place.name, place.group) for place in find_runs(paths)]


def test_a_run_and_a_folder_of_runs(here):
    root = here("runs/b", "runs/a", "runs/a/checkpoints/x")
    assert named(root / "runs/b") == [("b", "")]
    assert named(root / "runs")[:2] == [("a", ""), ("b", "")]
    assert named(root / "runs/b", root / "runs/a", root / "runs/b/resolved.yaml") == [("b", ""), ("a", "")]


def test_a_study_is_grouped_and_counted_as_people_do(here):
    root = here(*(f"study/{variant}/seed-{seed}" for variant in ("full", "no_style") for seed in (10, 0, 2)))
    names = [(f"{variant}/seed-{seed}", variant) for variant in ("full", "no_style") for seed in (0, 2, 10)]
    assert named(root / "study") == names
    shuffled = [root / "study" / name for name, _ in (names[0], names[3], names[1])]
    assert named(*shuffled) == [names[0], names[1], names[3]]


def test_equal_names_get_their_path(here):
    here("one/a", "two/a", "one/full/seed-0", "two/full/seed-0")
    found = [(place.name, place.group) for place in find_runs([here() / "one", here() / "two"])]
    assert len(set(found)) == 4
    assert all(name.endswith(("one/a", "two/a", "full/seed-0")) and "/" in name for name, _ in found)
    assert {group[-8:] for _, group in found} == {"", "one/full", "two/full"}


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        find_runs([tmp_path / "nowhere"])
