"""Broken plugins of every kind at once, 70 to 72 and 102: what needs none goes on, what needs one names it."""

import json
import os
import sys

import pytest
from shrink import TINY_MUNIT

from i2i_forge.catalog.loading import Plugin, find_plugins, read_vocabulary
from i2i_forge.cli import main

LOSS = """
from i2i_forge import hookimpl

def {loss}(input, target):
    "A loss."
    return (input - target).abs().mean()

@hookimpl
def register_components(catalog):
    catalog.losses.add("{loss}", {loss})
"""
HOOK = """
@hookimpl
def {hook}({arguments}):
    raise ValueError("in a hook")
"""
BROKEN = {  # plugin -> what is added to its source, before or behind the loss of its name + "_loss"
    "imports": ("raise ImportError('no luck')\n", ""),
    "lacks": ("import a_package_that_is_not_there\n", ""),
    "syntax": ("", "def (:\n"),
    "exits": ("raise SystemExit(3)\n", ""),
    "interrupts": ("", "\n    raise SystemExit('in register_components')\n"),
    "misspelt": ("", HOOK.format(hook="run_start", arguments="run, step")),
    "argument": ("", HOOK.format(hook="step_finished", arguments="run, steps")),
    "unmarked": ("", "\ndef run_started(run, step): ...\n"),
    "old": ("FORGE_API = 0\n", ""),
    "new": ("FORGE_API = 2\n", ""),
    "requires": ("", ""),  # an installed one, of a package that asks for another version of this one
    "twin": ("", ""),  # the same plugin in another folder
}
WORKS = {
    "slow": ("import time\ntime.sleep(0.2)\n", ""),
    "prints": ("print('noise')\nimport os\nos.write(2, b'more noise')\n", ""),
    "prints_later": ("", HOOK.format(hook="step_finished", arguments="step").replace("raise ValueError", "print")),
    "quits": ("", HOOK.format(hook="step_finished", arguments="step").replace("ValueError", "SystemExit")),
    "raises_first": ("", HOOK.format(hook="run_started", arguments="run, step")),
    "raises_later": ("", HOOK.format(hook="step_finished", arguments="run, step, report")),
    "raises_last": ("", HOOK.format(hook="run_stopped", arguments="run")),
    "clash_a": ("", ""),
    "clash_b": ("", ""),
}
BEFORE_IMPORT = {"lacks", "syntax", "misspelt", "argument", "unmarked", "old", "new", "requires", "twin"}


def source(name, folder):
    before, behind = (BROKEN | WORKS)[name]
    loss = "clash_loss" if name.startswith("clash") else f"{name}_loss"
    canary = f"open({str(folder / f'{name}.imported')!r}, 'w').close()\n"
    return canary + before + LOSS.format(loss=loss) + behind


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """`--plugins` for two folders that hold one of each kind, and a folder of packages."""
    one, two, site = (tmp_path_factory.mktemp(name) for name in ("one", "two", "site"))
    for name in [*BROKEN, *WORKS]:
        ((site if name == "requires" else one) / f"{name}.py").write_text(source(name, one))
    (two / "twin.py").write_text(source("twin", one))
    (info := site / "forge_requires-1.0.dist-info").mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: forge-requires\nVersion: 1.0\nRequires-Dist: i2i-forge>=99\n"
    )
    (info / "entry_points.txt").write_text("[i2i_forge]\nrequires = requires\n")
    return ["--plugins", str(one), "--plugins", str(two)], one, site


@pytest.fixture
def forge(folders, capsys, monkeypatch):
    """Runs a command with all of them: (exit code, stdout, stderr, which were imported)."""
    options, folder, site = folders
    monkeypatch.syspath_prepend(str(site))

    def call(*arguments):
        for canary in folder.glob("*.imported"):
            canary.unlink()
        for module in [name for name in sys.modules if name.startswith("i2i_forge_local_")]:
            del sys.modules[module]
        with pytest.raises(SystemExit) as ended:
            main([*options, *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "--debug ...` shows the traceback" not in err
        return ended.value.code, out, err, {file.stem for file in folder.glob("*.imported")}

    return call


def use(loss):
    return f"phases.generator.minimize.image=10 * {loss}(reconstruction, source)"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["recipes"], ["show", "munit_synthetic"], ["schema"],
     ["check", "munit_synthetic", "--no-step"]],
    ids=" ".join,
)  # fmt: skip
def test_70_what_reads_only_is_not_stopped_and_imports_none(forge, arguments):
    code, out, _, imported = forge(*arguments)
    assert code == 0 and out and imported == set()


def test_70_a_run_goes_through_and_names_each_that_failed(forge, tmp_path):
    small = "data.count=2", "data.test_count=1", "data.batch=1", "data.workers=0", "run.sample_inputs=1", *TINY_MUNIT
    changes = [part for change in small for part in ("--set", change)]
    code, out, err, imported = forge("train", "munit_synthetic", "--run", tmp_path / "run", "--steps", 2, *changes)
    assert code == 0 and "2 steps done" in out and "noise" not in out and "in a hook" not in out
    assert imported == ({*BROKEN} - BEFORE_IMPORT) | {*WORKS}
    for name in BROKEN:
        assert f"warning: plugin '{name}' is set aside" in err
    failed = {"raises_first": "run_started", "raises_later": "step_finished", "quits": "step_finished",
              "raises_last": "run_stopped"}  # fmt: skip
    for name, hook in failed.items():
        error = "SystemExit" if name == "quits" else "ValueError"
        assert err.count(f"plugin '{name}' failed in {hook} and is not called again: {error}: in a hook") == 1
    recorded = json.loads((tmp_path / "run" / "env.json").read_text())["plugins"]
    assert {*WORKS} <= set(recorded) and not {*BROKEN} & set(recorded)


def test_70_forge_plugins_shows_all(forge):
    code, out, _, _ = forge("plugins", "--json")
    status = {fact["name"]: (fact["status"], fact["reason"]) for fact in json.loads(out)}
    assert code == 0
    for name in BROKEN:
        assert status[name][0] == ("skipped" if name in ("old", "new", "requires") else "broken") and status[name][1]
    assert {status[name] for name in WORKS} == {("ok", "")}


@pytest.mark.parametrize("name", sorted({*BROKEN} - {"syntax", "requires"}))
def test_70_a_recipe_that_needs_a_broken_one_is_refused_with_both_names(forge, name):
    code, out, err, _ = forge("check", "munit_synthetic", "--set", use(f"{name}_loss"))
    said = err[err.index("error:") :]
    assert (code, out) == (6, "") and f"'{name}_loss'" in said and f"plugin '{name}'" in said
    assert len(said.splitlines()) <= 6 and (name != "lacks" or "a_package_that_is_not_there" in said)


@pytest.mark.parametrize(("name", "why"), [("syntax", "SyntaxError"), ("requires", "it needs i2i-forge>=99")])
def test_70_what_is_not_read_is_at_least_named_beside_the_recipe_that_needs_it(forge, name, why):
    code, out, err, _ = forge("check", "munit_synthetic", "--set", use(f"{name}_loss"))
    assert (code, out) == (3, "") and f"plugin '{name}' is set aside: {why}" in err and f"'{name}_loss'" in err


def test_71_a_component_that_two_bring_is_refused_with_both_unless_it_says_whose(forge):
    code, _, err, _ = forge("check", "munit_synthetic", "--set", use("clash_loss"))
    assert code == 6 and "clash_a.clash_loss or clash_b.clash_loss" in err
    code, out, _, _ = forge("check", "munit_synthetic", "--set", use("clash_b.clash_loss"))
    assert code == 0 and "no mistakes" in out


@pytest.mark.parametrize("name", ["slow", "prints", "raises_first"])
def test_70_what_is_only_odd_can_be_used(forge, name):
    code, out, _, _ = forge("check", "munit_synthetic", "--set", use(f"{name}_loss"), "--json")
    assert code == 0 and json.loads(out)["ok"]


def test_71_two_plugins_of_one_name_are_both_named(forge, folders):
    code, out, _, _ = forge("plugins", "--json")
    twins = [fact for fact in json.loads(out) if fact["name"] == "twin"]
    assert code == 0 and [fact["status"] for fact in twins] == ["broken", "broken"]
    for fact in twins:
        assert all(folder in fact["reason"] for folder in folders[0][1::2])


def test_72_another_api_and_wrong_hooks_are_seen_before_the_import(forge):
    code, out, _, imported = forge("plugins", "--json")
    reasons = {fact["name"]: fact["reason"] for fact in json.loads(out)}
    assert code == 0
    for name, reason in {
        "requires": "it needs i2i-forge>=99, this is ",
        "old": "it is written for FORGE_API 0, this is ",
        "new": "it is written for FORGE_API 2, this is ",
        "misspelt": "there is no hook 'run_start'",
        "argument": "hook step_finished has no argument 'steps'",
        "unmarked": "run_started is not a hook without `@hookimpl`",
    }.items():
        assert reasons[name].startswith(reason) and name not in imported


UNREADABLE = {  # file -> what Python's parser, or what reads its tree, makes of it
    "minus": ("x = " + 200_000 * "-" + "1", "MemoryError"),
    "dots": ("x = a" + 100_000 * ".a", "RecursionError"),
    "decorator": ("@hookimpl" + 5_000 * ".a" + "\ndef register_components(catalog): ...", "RecursionError"),
    "null": ("x = 1\0", "SyntaxError"),
    "digits": ("x = " + 5_000 * "9", "SyntaxError"),
}


def test_102_files_that_cannot_be_read_as_python_are_set_aside_and_named(tmp_path, capsys):
    for name, (text, _) in UNREADABLE.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "latin.py").write_bytes(b"x = '\xff'")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "good.py").write_text(LOSS.format(loss="good_loss"))
    found = {p.name: p for p in find_plugins([tmp_path]) if p.file and p.file.parent == tmp_path}
    assert found.pop("good").status == "found"
    assert {plugin.status for plugin in found.values()} == {"broken"} and len(found) == len(UNREADABLE) + 4
    for name, (_, kind) in UNREADABLE.items():
        assert found[name].reason.startswith(kind) and f"{name}.py" in found[name].reason
    with pytest.raises(SystemExit) as ended:
        main(["--plugins", str(tmp_path), "check", "munit_synthetic", "--no-step"])
    assert ended.value.code == 0
    said = capsys.readouterr().err
    assert all(f"plugin '{name}' is set aside" in said for name in found)


def test_102_many_plugins_are_not_compared_pair_by_pair(tmp_path, monkeypatch):
    for number in range(200):
        (tmp_path / f"p{number}.py").write_text(LOSS.format(loss=f"loss_{number}"))
    monkeypatch.setattr(Plugin, "__eq__", lambda self, other: pytest.fail("compared"))
    assert set(read_vocabulary(find_plugins([tmp_path])).names("losses")) > {f"loss_{n}" for n in range(200)}
