"""The commands that answer before anything is trained."""

import json
import os
import subprocess
import sys

import pytest

from i2i_forge.cli import COMMANDS, main

TELL_TORCH = "import atexit, sys; atexit.register(lambda: sys.stderr.write('TORCH' * ('torch' in sys.modules)))\n"


@pytest.fixture
def forge(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["plugins"], ["plugins", "--json"], ["plugins", "list"], ["recipes"],
        ["recipes", "--json"],
        ["check", "munit_edge2shoes", "--no-step"], ["show", "munit_edge2shoes"], ["train", "--help"], ["trian"],
        ["train", "munit_edge2shoes", "--set", "steps=x"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_torch_is_not_imported(arguments, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(TELL_TORCH)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "i2i_forge", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert "TORCH" not in done.stderr
    assert done.returncode in (0, 2, 3)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(forge, name):
    code, out, _ = forge(name, "--help")
    assert code == 0 and "Usage: forge" in out


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["trian"], 2, "did you mean 'train'"),
        (["train", "munit_synthetic", "--nonsense"], 2, "No such option"),
        (["train", "munit_synthetc"], 3, "did you mean 'munit_synthetic'"),
        (["train", "elsewhere/munit_synthetic.yaml"], 3, "name it without folder and ending: munit_synthetic"),
        (["check", "munit_synthetic", "--set", "stps=3"], 3, "--set stps=3: stps: there is no such key; did you"),
        (["check", "munit_synthetic", "--drop", "generator.stile"], 2, "did you mean 'generator.style'"),
        (["train", "munit_synthetic", "--device", "abacus"], 2, "--device abacus"),
        (["--plugins", "nothing", "plugins"], 6, "no such folder"),
    ],
)  # fmt: skip
def test_mistakes(forge, arguments, code, part):
    got, out, err = forge(*arguments)
    assert (got, out) == (code, "")
    assert part in err and "Traceback" not in err
    assert len(err.splitlines()) <= 6


def test_debug_shows_the_traceback(forge):
    _, _, err = forge("--debug", "check", "nothing")
    assert "Traceback" in err and "RecipeError" in err


def test_check_takes_a_step_without_data(forge):
    code, out, _ = forge("check", "munit_edge2shoes")
    assert code == 0 and "no mistakes" in out and "46,594,716" in out and "1x256x64x64" in out
    facts = json.loads(forge("check", "munit_edge2shoes", "--json")[1])
    assert facts["network_calls"] == 22 and facts["ok"]


def test_show_has_the_origin_of_each_value(forge):
    code, out, _ = forge("show", "munit_summer2winter", "--set", "steps=7", "--drop", "generator.style")
    lines = {line.partition(":")[0].strip(): line for line in out.splitlines()}
    assert code == 0
    assert lines["steps"].endswith("# --set steps=7")
    assert lines["cycle"].split("# ")[1].partition(":")[0].endswith("munit_summer2winter.yaml")
    assert lines["trainer"].split("# ")[1].partition(":")[0].endswith("munit_edge2shoes.yaml")
    assert "style" not in lines


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        (["munit_summer2winter"], 24),
        (["munit_summer2winter", "--drop", "generator.cycle"], 22),
        (["munit_edge2shoes", "--drop", "generator.style", "--drop", "generator.content"], 18),
    ],
)
def test_graph_shows_what_each_term_computes_and_what_is_pruned(forge, arguments, calls):
    code, out, _ = forge("show", *arguments, "--graph")
    assert code == 0 and f"{calls} network calls in a step" in out
    graph = json.loads(forge("show", *arguments, "--graph", "--json")[1])
    assert graph["network_calls"] == calls
    assert ("cycled" in graph["pruned"]["generator"]) == (calls < 24)
    assert graph["terms"]["generator/image/ab"][-2:] == ["reconstruction", "source"]


def test_recipes_lists_all(forge):
    names = {row["name"] for row in json.loads(forge("recipes", "--json")[1])}
    assert {"munit_edge2shoes", "munit_edges2handbags", "munit_summer2winter", "munit_synthia2cityscape",
            "munit_demo_edges2handbags", "munit_synthetic"} <= names  # fmt: skip


def test_a_one_file_plugin_is_used_by_a_recipe(forge, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from i2i_forge import hookimpl\n"
        "def half(input, target):\n    'Half.'\n    return (input - target).abs().mean() / 2\n"
        "@hookimpl\ndef register_components(catalog):\n    catalog.losses.add('half', half)\n"
    )
    term = "phases.generator.minimize.image=10 * half(reconstruction, source)"
    assert forge("check", "munit_synthetic", "--set", term)[0] == 3
    code, out, err = forge("--plugins", tmp_path, "check", "munit_synthetic", "--set", term)
    assert (code, err) == (0, "") and "no mistakes" in out


def test_python_m(tmp_path):
    done = subprocess.run([sys.executable, "-m", "i2i_forge", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("forge, version ")
