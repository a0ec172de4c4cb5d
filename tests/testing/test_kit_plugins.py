"""Plugins that are wrong as a whole: found by the kit, and never in the way of another."""

import pytest

from i2i_forge.catalog.loading import find_plugins
from i2i_forge.errors import PluginError
from i2i_forge.testing import check_plugin, kit, plugins, run_checks
from i2i_forge.testing.plugins import find_target, import_problems
from i2i_forge.testing.scaffold import KINDS

LOSS = '''
from i2i_forge import hookimpl


def {name}(input, target):
    """A difference."""
    return (input - target).abs().mean()


@hookimpl
def register_components(catalog):
    catalog.losses.add("{name}", {name})
'''
BROKEN = {
    "prints": "print('hello')",
    "dtype": "import torch\ntorch.set_default_dtype(torch.float64)",
    "seeds": "import torch\ntorch.manual_seed(1)",
    "numpys": "import numpy\nnumpy.random.seed(1)",
    "no_gradients": "import torch\ntorch.set_grad_enabled(False)",
    "flags": "import torch\ntorch.backends.cudnn.benchmark = True",
    "raising": "raise ValueError('not today')",
    "ending": "import os\nos._exit(3)",
}
SAYS = {
    "prints": "importing it prints: hello",
    "dtype": "importing it changes torch's default dtype",
    "seeds": "importing it changes torch's random state",
    "numpys": "importing it changes numpy's random state",
    "no_gradients": "importing it changes whether gradients are computed",
    "flags": "importing it changes torch.backends.cudnn.benchmark",
    "raising": "it cannot be loaded: ValueError: not today",
    "ending": "importing it ends Python (exit code 3)",
}


@pytest.fixture
def folder(tmp_path):
    """A folder of one-file plugins; `write` adds one."""

    def write(name, source=LOSS):
        (tmp_path / f"{name}.py").write_text(source.replace("{name}", name))
        return tmp_path / f"{name}.py"

    write.path = tmp_path
    return write


@pytest.fixture
def not_imported(monkeypatch):
    """Leaves the import in a process of its own out, which takes seconds."""
    monkeypatch.setattr(kit, "import_problems", lambda plugins: {plugin.name: [] for plugin in plugins})


def test_what_importing_does_is_found_plugin_by_plugin(folder, installed):
    """Our plugins and new packages print and change nothing; a process that imports them all takes seconds."""
    for name, line in BROKEN.items():
        folder(name, f"{line}\n{LOSS}")
    new = [installed(kind)[0].module for kind in KINDS]
    there = {plugin.name: plugin for plugin in find_plugins([folder("fine").parent])}
    good = [name for name in there if name not in BROKEN]
    assert {"fine", *new} < set(good) and len(good) > 30 + len(new)
    found = import_problems([there[name] for name in (*good, *BROKEN)])  # the one that ends Python comes last
    assert {name: found[name] for name in good} == {name: [] for name in good}
    for name, says in SAYS.items():
        assert found[name][0].startswith(says)


def test_without_plugins_to_import_no_process_is_started(monkeypatch):
    monkeypatch.setattr(plugins, "PROBE", "raise SystemExit(1)")
    assert import_problems([]) == {}


def test_a_plugin_that_hangs_is_named(folder, monkeypatch):
    monkeypatch.setattr(plugins, "TIMEOUT", 0.1)
    assert import_problems(find_target(str(folder("slow")))[1]) == {"slow": ["importing it hangs (waited 0.1 s)"]}


def test_a_plugin_that_ends_python_is_not_imported_here(folder, monkeypatch):
    monkeypatch.setattr(kit, "import_problems", lambda plugins: {"ending": [SAYS["ending"]]})
    (result,) = run_checks(str(folder("ending", "import os\nos._exit(3)")))
    assert result.problems == (SAYS["ending"],)


@pytest.mark.usefixtures("not_imported")
def test_a_file_without_mistakes_passes(folder):
    check_plugin(str(folder("fine")))


@pytest.mark.usefixtures("not_imported")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("@hookimpl\n", ""), "it is set aside: register_components is not a hook without `@hookimpl` above it"),
        (("def register_components(", "def register_component("), "there is no hook 'register_component'"),
        (("import hookimpl", "import hookimpl\nFORGE_API = 99"), "written for FORGE_API 99"),
        (('    """A difference."""\n', ""), "losses: wrong: it has no docstring"),
        (("input, target)", "input, target, scale=1.0)"), "does not explain the option 'scale'"),
        (('add("wrong"', 'add("Wrong"'), "the name 'Wrong' is not made of lower-case letters"),
        (('add("wrong", wrong)', 'add("wro" + "ng", wrong)'), "cannot be read from the source that it is registered"),
        (("def wrong(input, target)", "def wrong(input, target, *more)"), "its options cannot be read from its source"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(folder, change, says):
    file = folder("wrong", LOSS.replace("{name}", "wrong").replace(*change))
    with pytest.raises(AssertionError) as failed:
        check_plugin(str(file))
    assert says in str(failed.value)


@pytest.mark.usefixtures("not_imported")
def test_a_recipe_beside_the_plugin_is_read_and_traced(folder):
    file = folder("fine")
    (folder.path / "notes.yaml").write_text("shopping: [milk]\n")
    (folder.path / "mine.yaml").write_text("base: munit_synthetic\ndata: {use: munit}\n")
    with pytest.raises(AssertionError, match=r"mine.yaml: .*forge check .*mine.yaml") as failed:
        check_plugin(str(file))
    assert "notes" not in str(failed.value)


@pytest.mark.usefixtures("not_imported")
def test_checks_are_read_from_the_plugin_and_from_the_test(folder):
    source = LOSS.replace("- target", "- target.detach()")
    with pytest.raises(AssertionError, match="no gradient reaches 'target'"):
        check_plugin(str(folder("one_sided", source)))
    check_plugin(str(folder("one_sided")), {"one_sided": {"constant": ["target"]}})
    check_plugin(str(folder("stated", f"{source}\nCHECKS = {{'losses.stated': {{'constant': ['target']}}}}\n")))
    with pytest.raises(PluginError, match="plugin 'stated' brings no 'l1'"):
        check_plugin(str(folder("stated")), {"l1": {}})


def test_a_target_is_a_name_a_file_or_a_package(folder):
    assert [plugin.name for plugin in find_target("distances")[1]] == ["distances"]
    assert len(find_target("I2I_Forge")[1]) > 30
    assert [plugin.name for plugin in find_target("fine", [folder("fine").parent])[1]] == ["fine"]
    distances = find_target("distances")[1][0].file
    assert [plugin.name for plugin in find_target(str(distances))[1]] == ["distances"]
    all_plugins, (mine,) = find_target(str(folder("l2")))
    assert mine in all_plugins and mine.provides[0].name == "l2"
    assert "fine" not in [plugin.name for plugin in all_plugins]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("distnces", "no package of plugins 'distnces'\nfix: install its package"),
        ("missing.py", "missing.py: there is no such file"),
        ("__init__.py", "belongs to no installed plugin"),
        ("gradient_l1", "\nfix: install its package (pip install -e FOLDER), or name its file; did you mean"),
        ("soft-edges", "fix: install the package in that folder (pip install -e soft-edges) and name the package"),
        ("mine", "fix: that is a folder: name a file in it, or a plugin: forge --plugins mine plugin check NAME"),
        ("pluggy", "fix: package 'pluggy' announces no plugin: give its pyproject.toml the entry point"),
    ],
)
def test_a_target_that_is_not_there(target, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "__init__.py").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "soft-edges").mkdir()
    (tmp_path / "soft-edges" / "pyproject.toml").touch()
    with pytest.raises(PluginError) as error:
        find_target(target)
    assert says in str(error.value)
