"""forge schema"""

import json


def test_the_schema_is_printed_or_written(forge, tmp_path):
    code, out, err = forge("schema")
    assert (code, err) == (0, "") and json.loads(out)["title"] == "i2i_forge recipe"
    file = tmp_path / "recipe.schema.json"
    code, nothing, err = forge("schema", "--out", file)
    assert (code, nothing, file.read_text()) == (0, "", out) and "$schema=recipe.schema.json" in err


def test_plugins_of_ones_own_are_in_it_and_broken_ones_are_named(forge, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from i2i_forge import hookimpl\ndef half(input, target):\n    'Half.'\n"
        "@hookimpl\ndef register_components(catalog):\n    catalog.losses.add('half_of_it', half)\n"
    )
    (tmp_path / "broken.py").write_text("def (")
    code, out, err = forge("--plugins", tmp_path, "schema")
    assert code == 0 and "half_of_it" in out and "plugin 'broken' is set aside" in err


def test_a_place_that_cannot_be_written(forge, tmp_path):
    code, out, err = forge("schema", "--out", tmp_path / "no" / "such.json")
    assert (code, out) == (2, "") and "such.json" in err and "No such file" in err


def test_help_tells_what_an_editor_needs(forge):
    assert "# yaml-language-server: $schema=recipe.schema.json" in forge("schema", "--help")[1]
