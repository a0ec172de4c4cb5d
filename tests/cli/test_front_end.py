"""The commands that answer before anything is trained."""

import json
import subprocess
import sys

import click
import pytest

from i2i_forge.cli import COMMANDS, cli
from i2i_forge.recipe.reading import read_recipe


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["plugins"], ["plugins", "--json"], ["plugins", "list"], ["recipes"],
        ["recipes", "--json"],
        ["check", "munit_edge2shoes", "--no-step"], ["show", "munit_edge2shoes"], ["train", "--help"], ["trian"],
        ["train", "munit_edge2shoes", "--set", "steps=x"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_torch_is_not_imported(arguments, forge_process):
    done = forge_process(*arguments)
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
        (["check"], 2, "Missing argument 'RECIPE'"),
        (["check", "munit_synthetic", "--set"], 2, "requires an argument"),
        (["check", "munit_synthetic", "--plugins", "mine"], 2, "It goes before the command: forge --plugins DIR"),
        (["check", "munit_synthetic", "--set", "seed"], 2, "this is not KEY=VALUE"),
        (["check", "x" * 300], 3, "there is no such recipe"),
        (["check", "."], 3, "it is a folder"),
        (["check", "munit_synthetic", "--set", "networks.decoder.use=nothing"], 3, "among the decoders"),
        (["plugins", "--why", "munti"], 6, "did you mean 'munit'?"),
        (["data", "make", "nothing", "--out", "x"], 6, "datasets: there is no 'nothing'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)  # fmt: skip
def test_mistakes(forge, arguments, code, part):
    got, out, err = forge(*arguments)
    assert (got, out) == (code, "") and part in err
    assert "unexpected" not in err and len(err.splitlines()) <= 6


def test_check_takes_a_step_without_data(forge):
    code, out, _ = forge("check", "munit_edge2shoes")
    assert code == 0 and "no mistakes" in out and "46,594,716" in out and "1x256x64x64" in out
    facts = json.loads(forge("check", "munit_edge2shoes", "--json")[1])
    assert facts["network_calls"] == 20 and facts["ok"]


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
        (["munit_summer2winter"], 22),
        (["munit_summer2winter", "--drop", "generator.cycle"], 20),
        (["munit_edge2shoes", "--drop", "generator.style", "--drop", "generator.content"], 16),
    ],
)
def test_graph_shows_what_each_term_computes_and_what_is_pruned(forge, arguments, calls):
    code, out, _ = forge("show", *arguments, "--graph", "--json")
    graph = json.loads(out)
    assert code == 0 and graph["network_calls"] == calls
    assert ("cycled" in graph["pruned"]["generator"]) == (calls < 22)
    assert graph["terms"]["generator/image/ab"][-2:] == ["reconstruction", "source"]


def test_recipes_lists_all(forge):
    some = json.loads(forge("recipes", "summer", "--json")[1])
    assert {"munit_summer2winter", "cyclegan_summer2winter"} <= {row["name"] for row in some}
    assert all("summer" in row["name"] and row["needs"] and row["about"] for row in some)
    assert forge("recipes", "sumer")[0] == 2
    names = {row["name"] for row in json.loads(forge("recipes", "--json")[1])}
    assert {"munit_edge2shoes", "munit_edges2handbags", "munit_summer2winter", "munit_synthia2cityscape",
            "munit_demo_edges2handbags", "munit_synthetic"} <= names  # fmt: skip


def test_recipes_are_one_short_line_each_unless_asked_for_more(forge):
    code, out, err = forge("recipes")
    named = json.loads(forge("recipes", "--json")[1])
    assert code == 0 and [line.split()[:2] for line in out.splitlines()] == [[r["name"], r["method"]] for r in named]
    assert max(map(len, out.splitlines())) <= 80 and "forge recipes NAME" in err
    needs = {line.split()[0]: " ".join(line.split()[2:]) for line in out.splitlines()}
    assert (needs["munit_synthetic"], needs["pix2pix_facades"]) == ("no files", "paired folders")
    assert len(forge("recipes", "summer")[1].splitlines()) == 3
    one = forge("recipes", "cyclegan_edges2shoes")[1]  # which is in the name of another one, too
    assert "trainA (edges), trainB (shoes)" in " ".join(one.split()) and "augmented" not in one
    long = forge("recipes", "--long")[1]
    assert all(recipe["name"] in long for recipe in named)
    assert "1,000 x 2" in forge("recipes", "munit", "--long")[1]


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


def test_python_m(forge_process):
    done = forge_process("--version")
    assert done.stdout.startswith("forge, version ") and (done.returncode, done.stderr) == (0, "")


def test_results_go_to_stdout_and_messages_to_stderr(forge, tmp_path):
    (tmp_path / "noisy.py").write_text("print('noise')\nraise ValueError('no\\nreason')\n")
    code, out, err = forge("--plugins", tmp_path, "check", "munit_synthetic", "--json")
    facts = json.loads(out)
    assert (code, facts["recipe"], facts["ok"], facts["shapes"]["source"]) == (0, "munit_synthetic", True, "2x3x64x64")
    assert {type(facts[key]) for key in ("parameters", "network_calls", "bytes", "bytes_of_activations")} == {int}
    assert err == "noise\nwarning: plugin 'noisy' is set aside: ValueError: no\n"  # once, in one line


def test_check_without_a_step_says_only_what_it_knows(forge):
    assert forge("check", "munit_edge2shoes", "--no-step") == (0, "munit_edge2shoes: no mistakes\n", "")
    assert json.loads(forge("check", "munit_edge2shoes", "--no-step", "--json")[1]) == {
        "recipe": "munit_edge2shoes", "ok": True,
    }  # fmt: skip


def test_an_unknown_plugin_in_the_environment(forge, monkeypatch):
    monkeypatch.setenv("FORGE_PLUGINS", "munti")
    for arguments in (["plugins"], ["check", "munit_synthetic"]):
        code, out, err = forge(*arguments)
        assert (code, out) == (6, "") and "FORGE_PLUGINS: there is no plugin 'munti'" in err


def test_no_plugins_at_all(forge, monkeypatch):
    monkeypatch.setenv("FORGE_PLUGINS", "")
    assert forge("plugins") == (0, "", "no plugins: FORGE_PLUGINS chooses none\n")
    assert forge("plugins", "--json")[1] == "[]\n"
    code, _, err = forge("check", "munit_synthetic")
    assert code == 3 and "there are no trainers at all" in err


def test_debug_may_stand_anywhere(forge):
    for arguments in (["--debug", "check", "nothing"], ["check", "nothing", "--debug"]):
        code, out, err = forge(*arguments)
        assert (code, out) == (3, "") and "Traceback" in err and "RecipeError" in err
        assert "error: nothing: there is no such recipe" in err


def test_an_accident_is_one_message_and_asks_for_a_report(forge, monkeypatch):
    def accident(*_):
        raise ZeroDivisionError("of all things\nsecond line")

    monkeypatch.setattr("i2i_forge.cli.check.checked_recipe", accident)
    code, out, err = forge("check", "munit_synthetic", is_accident=True)
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == "error: ZeroDivisionError: of all things" and "forge --debug" in err
    assert "Traceback" in forge("check", "munit_synthetic", "--debug", is_accident=True)[2]
    for stop in (KeyboardInterrupt, click.Abort):
        monkeypatch.setattr("i2i_forge.cli.check.checked_recipe", lambda *_, stop=stop: (_ for _ in ()).throw(stop))
        code, out, err = forge("check", "munit_synthetic")
        assert (code, out, err.strip()) == (130, "", "stopped")


def test_what_show_prints_is_a_recipe_with_the_same_values(forge, tmp_path):
    changes = ["data.root=1e-4 # no", "run.keep=7"]
    _, out, _ = forge("show", "munit_summer2winter", "--set", changes[0], "--set", changes[1])
    (tmp_path / "shown.yaml").write_text(out)
    shown, expected = read_recipe(tmp_path / "shown.yaml"), read_recipe("munit_summer2winter", set=changes)
    assert shown.model_dump() == expected.model_dump()
    lines = {line.partition(":")[0].strip(): line for line in out.splitlines()}
    assert lines["keep"].endswith("# --set run.keep=7") and lines["precision"].endswith("# default")
    assert max(map(len, out.splitlines())) < 150


def test_show_as_json_is_the_recipe(forge):
    assert json.loads(forge("show", "munit_synthetic", "--json")[1]) == read_recipe("munit_synthetic").to_data()


def test_the_graph_names_terms_tensors_networks_and_what_is_pruned(forge):
    _, out, _ = forge("show", "munit_edge2shoes", "--graph")
    for words in ("phase discriminator", "phase generator", "10 * l1(reconstruction, source)",
                  "reconstruction (decoder.a)", "recovered_style (style_encoder.b)",
                  "pruned: cycled, random_style_2, real_logits", "20 network calls in a step"):  # fmt: skip
        assert words in out
    assert "image ab" in out and "image ba" in out and max(map(len, out.splitlines())) <= 200


def test_help_is_complete_and_lines_are_short(forge):
    _, out, _ = forge("--help")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in out and text.split()[0] in out
    for code in ("2 usage", "3 recipe", "4 data", "5 checkpoint", "6", "130 SIGINT"):
        assert code in out
    assert max(map(len, out.splitlines())) <= 100


def commands(group, path="forge"):
    """Every command with its path."""
    for name in group.list_commands(None):
        command = group.get_command(click.Context(group), name)
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


@pytest.mark.parametrize(
    ("path", "command"), list(commands(cli)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_help_is_in_whole_sentences(path, command):
    """A text says what it is by itself: it does not go on from the option's name, as in "Of the modes."."""
    assert command.help and command.help[0].isupper()
    options = [option for option in command.params if isinstance(option, click.Option) and option.name != "help"]
    for option in options:
        first, *rest = option.help.split()
        assert first[0].isupper() and rest and option.help.endswith((".", "]", "...")), (path, option.opts, option.help)
        assert first not in {"Of", "As", "How,", "How;", "Here,", "Inputs,"}, (path, option.opts, option.help)


def test_a_reader_that_stops_causes_no_message():
    """forge show ... | head -1"""
    command = f"{sys.executable} -m i2i_forge show munit_synthetic; echo $? >&2"
    done = subprocess.Popen(["bash", "-c", f"set -o pipefail; ({command}) | true"], stderr=subprocess.PIPE, text=True)
    assert done.communicate()[1] in ("0\n", "1\n")  # no complaint; 1 is click's own code for it
