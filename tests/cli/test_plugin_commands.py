"""`forge plugin new` and `forge plugin check` as a user types them."""

import json

import pytest

from i2i_forge.testing import kit

GOOD = '''"""A distance."""

from i2i_forge import hookimpl


def mean_gap(input, target):
    """Mean absolute difference."""
    return (input - target).abs().mean()


@hookimpl
def register_components(catalog):
    catalog.losses.add("mean_gap", mean_gap)
'''


@pytest.fixture(autouse=True)
def not_imported(monkeypatch):
    """Leaves the import in a process of its own out, which takes seconds; tests/testing tries it."""
    monkeypatch.setattr(kit, "import_problems", lambda plugins: {plugin.name: [] for plugin in plugins})


@pytest.fixture
def file(tmp_path):
    """A plugin in a file."""
    made = tmp_path / "mean_gap.py"
    made.write_text(GOOD)
    return made


def test_a_package_is_written_and_named(forge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = forge("plugin", "new", "Soft_Edges")
    assert (code, out) == (0, "soft-edges\n")
    assert "next: cd soft-edges && pip install -e '.[test]' && pytest" in err
    assert "catalog.losses.add" in (tmp_path / "soft-edges/src/soft_edges/__init__.py").read_text()
    code, _, err = forge("plugin", "new", "soft-edges")
    assert code == 2 and "soft-edges exists already" in err


def test_the_kind_and_the_place_are_chosen(forge, tmp_path):
    code, out, _ = forge("plugin", "new", "hatching", "--kind", "decoder", "--out", tmp_path / "new")
    assert (code, out) == (0, f"{tmp_path / 'new/hatching'}\n")
    assert "catalog.decoders.add" in (tmp_path / "new/hatching/src/hatching/__init__.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("soft edges",), "cannot be the name of a package"),
        (("charbonnier",), "plugin 'distances' brings losses: charbonnier"),
        (("distances",), "plugin 'distances' brings losses:"),
        (("soft-edges", "--kind", "generator"), "'generator' is not one of"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(forge, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = forge("plugin", "new", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_keeps_its_promises(forge, file):
    code, out, err = forge("plugin", "check", file)
    assert code == 0, err
    assert out == "plugin mean_gap: 2 checks pass\nlosses: mean_gap: 9 checks pass\n"
    code, out, _ = forge("plugin", "check", file, "--verbose")
    assert "  float32: It is float32 in a bfloat16 run" in out


def test_a_broken_promise_is_said_in_plain_words(forge, file):
    file.write_text(
        GOOD.replace("- target)", "- target.detach())").replace('    """Mean absolute difference."""\n', "")
    )
    code, out, err = forge("plugin", "check", file)
    assert code == 6
    assert "losses: mean_gap: 2 of 9 checks fail" in out
    assert "  documented: it has no docstring" in out
    assert "  gradients: no gradient reaches 'target'; if that is meant" in out
    assert "error: 2 of 11 checks fail" in err
    assert """say so in the plugin: CHECKS = {"mean_gap": {"skip": {"documented": "why"}}}""" in err


def test_what_does_not_run_is_not_tried_further(forge, file):
    file.write_text(GOOD.replace("(input - target)", "(input - target.text)"))
    code, out, err = forge("plugin", "check", file)
    assert code == 6
    assert "AttributeError: 'Tensor' object has no attribute 'text' (mean_gap.py, line 8)" in out
    assert err.endswith("error: 1 of 7 checks fail\nfix: mend them\n")


def test_json_has_every_check(forge, file):
    file.write_text(GOOD + '\nCHECKS = {"mean_gap": {"skip": {"float32": "it is for reports"}}}\n')
    code, out, _ = forge("plugin", "check", file, "--json")
    assert code == 0
    results = {(result["component"], result["check"]): result for result in json.loads(out)}
    assert results["losses: mean_gap", "gradients"]["problems"] == []
    assert results["losses: mean_gap", "float32"]["skipped"] == "it is for reports"
    file.write_text(GOOD.replace("@hookimpl\n", ""))
    code, out, _ = forge("plugin", "check", file, "--json")
    assert code == 6
    (result,) = json.loads(out)
    assert "is not a hook without `@hookimpl`" in result["problems"][0]


def test_a_plugin_of_a_folder_and_one_of_ours(forge, file):
    assert forge("--plugins", file.parent, "plugin", "check", "mean_gap")[0] == 0
    code, out, _ = forge("plugin", "check", "distances")
    assert code == 0 and "losses: charbonnier: 9 checks pass" in out


def test_an_unknown_plugin(forge):
    code, out, err = forge("plugin", "check", "distnces")
    assert (code, out) == (6, "")
    assert "there is no plugin and no package of plugins 'distnces'" in err and "did you mean 'distances'" in err
