"""Records and lists of lines: a last one that was cut, and what ends a line: 91."""

import pytest
from small_records import record

from i2i_forge.data.folders import read_list
from i2i_forge.errors import DataError
from i2i_forge.measure import records
from i2i_forge.run.folder import RunFolder
from i2i_forge.system.files import lines_of
from i2i_forge.system.public_data import damaged, write_inventory


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 1])
def test_91_a_record_after_one_that_was_cut(tmp_path, share):
    """It costs the one that was cut, which is said; the others are read. A missing line end costs none."""
    first, cut, last = record("first"), record("c\u2028\x85t"), record("last")
    records.append(first, tmp_path)
    line = cut.model_dump_json(exclude_none=True).encode()
    with (tmp_path / records.FILE).open("ab") as file:
        file.write(line[: int(share * len(line))])
    records.append(last, tmp_path)
    said = []
    found = records.read(tmp_path / records.FILE, said.append)
    assert found == ([first, cut, last] if share == 1 else [first, last])
    assert said == ([] if share == 1 else [f"{tmp_path / records.FILE}:2: this line is cut off, and is left out"])


def test_91_a_record_that_was_cut_costs_no_report(forge, munit_run, tmp_path):
    """Neither the next record, which a command appends behind it, nor those before."""
    file = tmp_path / records.FILE
    for name in ("first", "cut"):
        records.append(record(name), tmp_path)
    first, cut = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + cut[:-9])
    options = ("--metric", "structure", "--inputs", 2, "--samples", 2, "--device", "cpu", "--out", tmp_path)
    code, _, err = forge("eval", munit_run, *options)
    assert code == 0, err
    code, out, err = forge("report", tmp_path)
    assert code == 0, err
    assert "structure" in out and "results.jsonl:2: this line is cut off" in err
    assert file.read_bytes().startswith(first)


@pytest.mark.parametrize("cut", [b'{"metric": "x", "val', b'{"metric": "x", "val{"schema":1}', b'{"sch\0\0\0\0'])
def test_91_whatever_began_as_a_record_is_left_out(tmp_path, cut):
    (tmp_path / records.FILE).write_bytes(cut)
    records.append(record("last"), tmp_path)
    said = []
    assert records.read(tmp_path / records.FILE, said.append) == [record("last")]
    assert len(said) == 1


def test_91_what_is_no_beginning_of_a_record_is_an_error(tmp_path):
    (tmp_path / records.FILE).write_bytes(b"\0\0\n\x89PNG\n")
    said = []
    with pytest.raises(DataError, match=r"results.jsonl:2: this is not a record"):
        records.read(tmp_path / records.FILE, said.append)
    assert len(said) == 1


def test_91_a_cut_last_line_of_the_losses(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.write_bytes(b'{"step": 1}\n{"step": 2, "a/b/\xe2\x80')
    folder.record({"step": 2, "x/y/\u2028": 1.5})
    assert [entry for _, entry in folder.records()] == [{"step": 1}, {"step": 2, "x/y/\u2028": 1.5}]


BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # where `str.splitlines` cuts


def test_91_only_a_line_feed_ends_a_line(tmp_path):
    assert lines_of(f"a{BREAKS}b\n\nc") == [f"a{BREAKS}b", "", "c"] and lines_of("a\n") == ["a"] and lines_of("") == []
    name = f"a{BREAKS}b.png"
    (tmp_path / "list.txt").write_text(f"{name}\n2.png\n")
    assert list(read_list(tmp_path / "list.txt", tmp_path)) == [tmp_path / name, tmp_path / "2.png"]
    (tmp_path / name).write_bytes(b"x")
    write_inventory(tmp_path)
    assert damaged(tmp_path) == []
