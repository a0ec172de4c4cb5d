"""Every fault has a test, or a reason why not."""

import ast
from pathlib import Path

from fault_list import FAULTS, UNTESTED, fault_of


def names_by_fault():
    found = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and (number := fault_of(node.name)) is not None:
                found.setdefault(number, []).append(node.name)
    return found


def test_faults_are_numbered_one_by_one():
    assert list(FAULTS) == list(range(1, len(FAULTS) + 1))


def test_every_fault_is_tested_or_says_why_not():
    tested = names_by_fault()
    assert sorted({*tested, *UNTESTED}) == sorted(FAULTS)
    assert not tested.keys() & UNTESTED.keys()
