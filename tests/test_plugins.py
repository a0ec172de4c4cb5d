"""A plugin that cannot be used is set aside and named; everything else works."""

import json
import os
import subprocess
import sys

import pytest

from i2i_forge.errors import PluginError
from i2i_forge.plugins import find_plugins, load_plugins

LOSS = """
from i2i_forge import hookimpl

def half(input, target):
    "Half of it."
    return (input - target).abs().mean() / 2

@hookimpl
def register_components(catalog):
    catalog.losses.add("half", half)
"""

BROKEN = {
    "raises": "raise ImportError('no luck')",
    "missing": "import a_package_that_is_not_there",
    "syntax": "def (:",
    "exits": "raise SystemExit(3)",
    "hook": LOSS.replace(
        'catalog.losses.add("half", half)', 'catalog.losses.add("half", half); raise ValueError("oh")'
    ),
    "misspelt": LOSS.replace("def register_components", "def register_component"),
    "argument": LOSS.replace("(catalog)", "(catalogue)").replace("catalog.losses", "catalogue.losses"),
    "api": "FORGE_API = 99\n" + LOSS,
}


def plugin(host, name):
    return next(p for p in host.plugins if p.name == name)


def test_the_built_ins_come_in_by_entry_points():
    host = load_plugins()
    assert {p.status for p in host.plugins} == {"ok"}
    assert {"munit", "distances", "procedural_shoes"} <= {p.name for p in host.plugins}
    assert host.catalog.losses.entry("l1").plugin == "distances"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_set_aside_and_named(tmp_path, name):
    (tmp_path / f"{name}.py").write_text(BROKEN[name])
    (tmp_path / "good.py").write_text(LOSS.replace("half", "good_half"))
    host = load_plugins([tmp_path])
    bad = plugin(host, name)
    assert bad.status == ("skipped" if name == "api" else "broken")
    assert bad.reason
    assert "half" not in host.catalog.losses
    assert "good_half" in host.catalog.losses and "munit" in host.catalog.trainers
    assert {p.name for p in host.plugins if p.status != "ok"} == {name}


def test_a_misspelt_hook_is_suggested(tmp_path):
    (tmp_path / "misspelt.py").write_text(BROKEN["misspelt"])
    assert "register_components" in plugin(load_plugins([tmp_path]), "misspelt").reason


def test_two_plugins_of_one_name_are_both_named(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(LOSS)
    host = load_plugins([tmp_path / "one", tmp_path / "two"])
    for found in (p for p in host.plugins if p.name == "same"):
        assert found.status == "broken" and "one" in found.reason and "two" in found.reason


def test_a_plugin_for_another_version_is_skipped_before_it_is_imported(tmp_path, monkeypatch):
    info = tmp_path / "forge_old-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: forge-old\nVersion: 1.0\nRequires-Dist: i2i-forge<0.0.1\n"
    )
    (info / "entry_points.txt").write_text("[i2i_forge]\nold = forge_old_module\n")
    (tmp_path / "forge_old_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    host = load_plugins()
    assert plugin(host, "old").status == "skipped" and "i2i-forge<0.0.1" in plugin(host, "old").reason


@pytest.mark.parametrize(("value", "names"), [("munit,distances", {"munit", "distances"}), ("", set())])
def test_forge_plugins_chooses(monkeypatch, value, names):
    monkeypatch.setenv("FORGE_PLUGINS", value)
    assert {p.name for p in find_plugins()} == names


def test_forge_plugins_with_an_unknown_name(monkeypatch):
    monkeypatch.setenv("FORGE_PLUGINS", "munti")
    with pytest.raises(PluginError, match="did you mean 'munit'"):
        find_plugins()


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(PluginError, match="no such folder"):
        find_plugins([tmp_path / "nothing"])


def forge(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "i2i_forge", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_forge_plugins_tries_others_in_a_process_of_their_own(tmp_path):
    (tmp_path / "exits.py").write_text(BROKEN["exits"])
    (tmp_path / "noisy.py").write_text("print('hello')\n" + LOSS)
    done = forge("--plugins", tmp_path, "plugins", "--json")
    facts = {p["name"]: p for p in json.loads(done.stdout)}
    assert facts["exits"]["status"] == "broken" and "SystemExit" in facts["exits"]["reason"]
    assert facts["noisy"]["status"] == "ok" and facts["noisy"]["provides"] == {"losses": ["half"]}
    assert facts["munit"]["provides"] == {"trainers": ["munit"]}
    assert {"name", "distribution", "version", "module", "status", "reason", "provides"} == set(facts["munit"])


def test_forge_plugins_why_shows_the_traceback(tmp_path):
    (tmp_path / "raises.py").write_text(BROKEN["raises"])
    done = forge("--plugins", tmp_path, "plugins", "--why", "raises")
    assert "no luck" in done.stdout and "Traceback" in done.stdout
    assert forge("plugins", "--why", "nothing").returncode == 6


def test_a_plugin_that_hangs_is_reported(tmp_path, monkeypatch):
    from i2i_forge.cli import plugins as command

    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(command, "PROBE_TIMEOUT", 2)
    found = find_plugins([tmp_path])
    command._try_foreign(found, (tmp_path,))
    assert next(p for p in found if p.name == "hangs").status == "broken"
    assert next(p for p in found if p.name == "munit").status == "ok"
