"""A plugin that cannot be used is set aside and named; everything else works."""

import json
import sys

import pytest

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary
from i2i_forge.errors import PluginError

LOSS = """
from i2i_forge import hookimpl

def half(input, target):
    "Half of it."
    return (input - target).abs().mean() / 2

@hookimpl
def register_components(catalog):
    catalog.losses.add("half", half)
"""

RAISES, EXITS = "raise ImportError('no luck')", "raise SystemExit(3)"
MISSPELT = LOSS.replace("def register_components", "def register_component")
BEFORE_IMPORT = {  # source -> status and reason, found without running it
    "import nothing_a, os\nfrom nothing_b.c import d": (
        "broken",
        "it imports nothing_a, nothing_b, which cannot be found",
    ),
    "def (:": ("broken", "odd.py, line 1)"),
    "a = '\0'": ("broken", "source code string cannot contain null bytes"),
    "FORGE_API = 99\n" + LOSS: ("skipped", "it is written for FORGE_API 99, this is 1"),
    MISSPELT: ("broken", "there is no hook 'register_component' (line 9); did you mean 'register_components'?"),
    LOSS.replace("(catalog)", "(catalogue)").replace("catalog.losses", "catalogue.losses"): (
        "broken",
        "hook register_components has no argument 'catalogue' (line 9)",
    ),
    "def step_finished(run, step, report): pass": ("broken", "step_finished is not a hook without `@hookimpl`"),
}
AT_IMPORT = {
    RAISES: ("broken", "ImportError: no luck"),
    EXITS: ("broken", "SystemExit: 3"),
    LOSS + "    raise ValueError('oh')": ("broken", "ValueError: oh"),
}


def plugin(host, name):
    return next(p for p in host.plugins if p.name == name)


def test_the_built_ins_come_in_by_entry_points():
    host = load_plugins()
    assert {p.status for p in host.plugins} == {"ok"}
    assert {"munit", "distances", "procedural_shoes"} <= {p.name for p in host.plugins}
    assert host.catalog.losses.entry("l1").plugin == "distances"


@pytest.mark.parametrize("source", [*BEFORE_IMPORT, *AT_IMPORT])
def test_a_broken_plugin_is_set_aside_and_named_and_the_others_work(tmp_path, source):
    canary, (status, reason) = tmp_path / "canary", (BEFORE_IMPORT | AT_IMPORT)[source]
    (tmp_path / "odd.py").write_text(f"{source}\nopen({str(canary)!r}, 'w').close()\n")
    (tmp_path / "good.py").write_text(LOSS.replace("half", "good_half"))
    (found,) = (p for p in find_plugins([tmp_path]) if p.name == "odd")
    assert found.status == (status if source in BEFORE_IMPORT else "found")
    host = load_plugins([tmp_path])
    assert plugin(host, "odd").status == status and reason in plugin(host, "odd").reason
    assert source in AT_IMPORT or not canary.exists()
    assert "half" not in host.catalog.losses
    assert "good_half" in host.catalog.losses and "munit" in host.catalog.trainers
    assert {p.name for p in host.plugins if p.status != "ok"} == {"odd"}


@pytest.mark.parametrize(("folder", "says"), [("nothing", "there is no such folder"), ("mine.py", "it is a file")])
def test_what_is_no_folder_of_plugins(tmp_path, folder, says):
    (tmp_path / "mine.py").write_text(LOSS)
    with pytest.raises(PluginError, match=rf"{folder}: {says}\nfix: name a folder"):
        find_plugins([tmp_path / folder])


@pytest.mark.parametrize(("value", "names"), [("munit,distances", {"munit", "distances"}), ("", set())])
def test_forge_plugins_chooses(monkeypatch, value, names):
    monkeypatch.setenv("FORGE_PLUGINS", value)
    assert {p.name for p in find_plugins()} == names


def test_forge_plugins_with_an_unknown_name(monkeypatch):
    monkeypatch.setenv("FORGE_PLUGINS", "munti")
    with pytest.raises(PluginError, match="did you mean 'munit'"):
        find_plugins()


def test_forge_plugins_tries_others_in_a_process_of_their_own(forge, tmp_path):
    (tmp_path / "exits.py").write_text(EXITS)
    (tmp_path / "noisy.py").write_text("print('hello')\n" + LOSS)
    facts = {p["name"]: p for p in json.loads(forge("--plugins", tmp_path, "plugins", "--json")[1])}
    assert facts["exits"]["status"] == "broken" and "SystemExit" in facts["exits"]["reason"]
    assert facts["noisy"]["status"] == "ok" and facts["noisy"]["provides"] == {"losses": ["half"]}
    assert facts["munit"]["provides"] == {"trainers": ["munit"]}
    assert {"name", "distribution", "version", "module", "status", "reason", "provides"} == set(facts["munit"])


def test_forge_plugins_why_shows_the_traceback(forge, tmp_path):
    (tmp_path / "raises.py").write_text(RAISES)
    _, out, _ = forge("--plugins", tmp_path, "plugins", "--why", "raises")
    assert "no luck" in out and "Traceback" in out
    assert forge("plugins", "--why", "nothing")[0] == 6


def test_those_that_hang_or_crash_are_named_and_the_others_are_still_tried(tmp_path, monkeypatch):
    """All in one folder: the process in which they are tried is started anew without the one it died in."""
    from i2i_forge.cli import plugins as command

    (tmp_path / "a_hangs.py").write_text("import time\ntime.sleep(600)\n")
    (tmp_path / "b_good.py").write_text("print('noise')\nfrom i2i_forge import hookimpl\n")
    (tmp_path / "c_crash.py").write_text("import os\nos._exit(7)\n")
    (tmp_path / "d_dynamic.py").write_text(
        LOSS.replace('catalog.losses.add("half", half)', 'for n in ("h1", "h2"): catalog.losses.add(n, half)')
    )
    monkeypatch.setattr(command, "PROBE_TIMEOUT", 2)
    tried = find_plugins([tmp_path])
    command.try_foreign(tried)
    found = {p.name: p for p in tried}
    assert (found["a_hangs"].status, found["a_hangs"].reason) == ("broken", "importing it hangs (waited 2 s)")
    assert (found["c_crash"].status, found["c_crash"].reason) == (
        "broken", "importing it ends Python (exit code 7)",
    )  # fmt: skip
    assert found["b_good"].status == found["d_dynamic"].status == found["munit"].status == "ok"
    assert [(c.kind, c.name) for c in found["d_dynamic"].provides] == [("losses", "h1"), ("losses", "h2")]


def test_what_may_be_missing_is_not_called_missing(tmp_path):
    (tmp_path / "careful.py").write_text(
        "from typing import TYPE_CHECKING\ntry:\n    import nothing_a\nexcept ImportError:\n    nothing_a = None\n"
        "if TYPE_CHECKING:\n    import nothing_b\n" + LOSS
    )
    assert plugin(load_plugins([tmp_path]), "careful").status == "ok"


def test_what_a_plugin_prints_stays_out_of_the_results(tmp_path, capsys):
    (tmp_path / "noisy.py").write_text(
        "print('at import')\n" + LOSS.replace("catalog.losses", "print('in hook'); catalog.losses")
    )
    assert plugin(load_plugins([tmp_path]), "noisy").status == "ok"
    assert capsys.readouterr() == ("", "at import\nin hook\n")


def test_a_broken_plugin_leaves_nothing_behind(tmp_path):
    (tmp_path / "late.py").write_text(LOSS + "    raise ValueError('late')\n")
    host = load_plugins([tmp_path])
    late = plugin(host, "late")
    assert late.reason == f"ValueError: late ({late.file}, line {len(LOSS.splitlines()) + 1})"
    assert "Traceback" in late.detail
    assert "half" not in host.catalog.losses and not host.manager.has_plugin("late")
    (tmp_path / "early.py").write_text("raise ValueError('early')")
    load_plugins([tmp_path])
    assert "i2i_forge_local_early" not in sys.modules


def test_a_clash_inside_one_plugin_sets_it_aside(tmp_path):
    (tmp_path / "twice.py").write_text(LOSS + "    catalog.losses.add('half', register_components)\n")
    reason = plugin(load_plugins([tmp_path]), "twice").reason
    assert "'half' is already i2i_forge_local_twice.half" in reason and "i2i_forge_local_twice.register_comp" in reason


def test_a_folder_given_twice_is_read_once(tmp_path):
    (tmp_path / "mine.py").write_text(LOSS)
    (tmp_path / "_helper.py").write_text("raise SystemExit")
    host = load_plugins([tmp_path, str(tmp_path / ".." / tmp_path.name)])
    assert [p.name for p in host.plugins if p.distribution != "i2i-forge"] == ["mine"]
    assert plugin(host, "mine").status == "ok"


def test_a_file_named_like_a_built_in_sets_both_aside_and_tells_the_way_out(tmp_path):
    (tmp_path / "munit.py").write_text(LOSS)
    twins = [p for p in find_plugins([tmp_path]) if p.name == "munit"]
    assert [p.status for p in twins] == ["broken", "broken"]
    assert twins[0].reason == f"the name 'munit' is used by i2i-forge and {tmp_path}/; remove or rename one"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package, forge-other, whose plugin is `other`."""

    def install(requires="", point="forge_other", metadata=True):
        info = tmp_path / "forge_other-1.0.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: forge-other\nVersion: 1.0\n{requires}")
        (info / "entry_points.txt").write_text(f"[i2i_forge]\nother = {point}\n")
        (tmp_path / "forge_other.py").write_text(LOSS)
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


@pytest.mark.parametrize(
    ("requires", "status"),
    [
        ("", "found"),
        ("Requires-Dist: I2I_Forge>=0.1\n", "found"),
        ("Requires-Dist: i2i.forge>=99\n", "skipped"),
        ("Requires-Dist: i2i-forge>=99; extra == 'dev'\n", "found"),
        ("Requires-Dist: i2i-forge>=99; python_version > '3'\n", "skipped"),
        ("Requires-Dist: i2i-forge >> 1\n", "found"),
    ],
)
def test_requirements_of_an_installed_plugin(installed, tmp_path, requires, status):
    installed(requires)
    (other,) = (p for p in find_plugins() if p.name == "other")
    assert (other.status, other.distribution, other.version) == (status, "forge-other", "1.0")
    assert status == "found" or "this is" in other.reason
    (tmp_path / "forge_other.py").write_text("raise SystemExit")  # what is skipped is not imported
    assert status == "found" or plugin(load_plugins(), "other").status == "skipped"


@pytest.mark.parametrize(
    "value", ["no_such_module_x", "forge_other.deeper", "forge_other:nothing", ".relative", ":x", "1 + 1", "os:system"]
)
def test_an_entry_point_that_leads_nowhere_hurts_nobody(installed, value):
    installed(point=value)
    host = load_plugins()
    assert plugin(host, "other").status in ("broken", "ok") and plugin(host, "munit").status == "ok"
    assert "half" not in host.catalog.losses


def test_an_entry_point_that_names_no_module_is_to_be_mended(installed):
    installed(point="no_such_module_x")
    (other,) = (p for p in find_plugins() if p.name == "other")
    assert "mend the entry point in the pyproject.toml of forge-other" in other.reason


def test_a_package_with_damaged_metadata_hurts_nobody(installed):
    installed(metadata=False)
    assert plugin(load_plugins(), "munit").status == "ok"


def test_an_object_as_plugin(installed, tmp_path, monkeypatch):
    """Its hooks are not read from the source: what it brings is checked when it is imported."""
    installed(point="forge_other:plugin")
    (tmp_path / "forge_other.py").write_text(
        "from i2i_forge import hookimpl\nclass P:\n    @hookimpl\n    def register_components(self, catalog):\n"
        "        catalog.losses.add('half', len)\nplugin = P()\n"
    )
    found = find_plugins()
    assert not read_vocabulary(found).complete
    monkeypatch.delitem(sys.modules, "forge_other", raising=False)
    assert load_plugins().catalog.losses.entry("half").plugin == "other"
