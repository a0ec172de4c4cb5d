"""Fixtures of the fault tests, and their record for `make faults`."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_list import fault_of
from guard.sitecustomize import violation
from subjects import SUBJECTS
from survival import OTHER_WEIGHTS, Watch


def pytest_addoption(parser):
    parser.addoption("--subject", default="forge", choices=SUBJECTS, help="what the faults are injected into")
    parser.addoption("--fault-record", help="write the outcome of each fault test to this file")


def pytest_collection_modifyitems(config, items):
    """An anchor takes only the tests that are written for any subject."""
    if config.getoption("--subject") == "forge":
        return
    general = [item for item in items if "watch" in item.fixturenames]
    config.hook.pytest_deselected(items=[item for item in items if item not in general])
    items[:] = general


@pytest.fixture(scope="session")
def subject(request):
    """What is tested: forge, unless an anchor is asked for."""
    return SUBJECTS[request.config.getoption("--subject")]()


@pytest.fixture
def watch(subject, tmp_path):
    """Runs the subject under guard, for faults that every training program can meet."""
    watch = Watch(subject, tmp_path)
    yield watch
    watch.finish()


@pytest.fixture
def forge_watch(tmp_path):
    """Runs forge under guard, for faults of what the anchors do not have."""
    watch = Watch(SUBJECTS["forge"](), tmp_path)
    yield watch
    watch.finish()


@pytest.fixture(scope="session")
def straight(subject, tmp_path_factory):
    """What an undisturbed run came to: `straight(steps=8, ...)`, each trained once."""
    known = {}

    def left(**settings):
        key = repr(sorted(({"steps": 8, "every": 2} | settings).items()))
        if key not in known:
            folder = tmp_path_factory.mktemp("straight")
            watch = Watch(subject, folder)
            ended = watch.train(folder / "run", **settings)
            assert ended.code == 0, ended.err[-2000:]
            known[key] = watch.left(folder / "run")
        return known[key]

    return left


@pytest.fixture(scope="session")
def trained(subject, tmp_path_factory):
    """A run with checkpoints of steps 2 and 4."""
    watch = Watch(subject, tmp_path_factory.mktemp("trained"))
    assert watch.train(watch.folder / "run", steps=4).code == 0
    return watch.folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


_here = {"allowed": None, "found": []}


def _hook(event, arguments):
    if _here["allowed"] is not None and (found := violation(event, arguments, _here["allowed"])) is not None:
        _here["found"].append(found)


sys.addaudithook(_hook)


@pytest.fixture(autouse=True)
def watched(tmp_path, tmp_path_factory, monkeypatch):
    """Rule d for what runs in this process: written, started and contacted is only what a test's folder holds."""
    monkeypatch.chdir(tmp_path)
    short = str(Path(tempfile.gettempdir()) / "faults-")  # the temporary folders of `Watch`
    _here["allowed"], _here["found"] = (str(tmp_path_factory.getbasetemp()), short), []
    yield
    _here["allowed"] = None
    assert _here["found"] == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    made = yield
    report = made.get_result()
    outcome = "inexact" if report.failed and OTHER_WEIGHTS in str(report.longrepr) else report.outcome
    item.config.stash.setdefault(RECORD, []).append((item.originalname, report.when, outcome, report.duration))


RECORD = pytest.StashKey[list]()


def pytest_sessionfinish(session):
    file = session.config.getoption("--fault-record")
    if not file:
        return
    tests = {}
    for name, when, outcome, seconds in session.config.stash.get(RECORD, []):
        if (number := fault_of(name)) is not None:
            entry = tests.setdefault(str(number), {"passed": 0, "inexact": 0, "failed": 0, "seconds": 0.0})
            entry["seconds"] += seconds
            if outcome in ("inexact", "failed") or when == "call":
                entry[outcome if outcome in entry else "failed"] += 1
    Path(file).write_text(json.dumps(tests, indent=2))
