"""Texts of a stranger's files that hold escape sequences, or lines that look like a command: 95."""

import io
import json
from contextlib import suppress
from pathlib import Path

import pytest
from file_server import serving
from loaded import QUIET
from small_records import record

from i2i_forge.cli.common import console
from i2i_forge.cli.progress import TrainingProgress
from i2i_forge.engine.divergence import NotFiniteError
from i2i_forge.errors import DataError, DivergedError
from i2i_forge.measure.records import append
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint, diverged
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.log import log, logging_to
from i2i_forge.run.loop import Run
from i2i_forge.system.public_data import PublicData, fetch
from i2i_forge.system.tensor_files import read_json

ESCAPE = "\x1b]0;owned\x07\u2028\u202e"
COMMAND = "\ntouch owned\n"


def is_clean(text):
    """Nothing in it moves a cursor, and no text of a stranger is a line of its own."""
    assert all(c.isprintable() or c in "\n\t" for c in text), repr(text)
    assert not any(line.startswith("touch owned") for line in text.splitlines()), text
    return text


def test_95_a_log_has_one_record_for_each(tmp_path):
    with suppress(DataError), logging_to(tmp_path / "log.txt"):
        log.warning("of a file: %s", f"x{COMMAND}{ESCAPE}")
        raise DataError(f"bad{COMMAND}", fix="mend it")
    lines = is_clean((tmp_path / "log.txt").read_text()).splitlines()
    assert [line[:4] for line in lines] == ["20" + lines[0][2:4], "    ", "    ", lines[0][:4], "    ", "    ", "    "]
    assert r"\x1b]0;owned\x07" in lines[2]


def test_95_a_key_of_a_checkpoint(run, forge):
    """It was written into a shell's start file."""
    key = json.dumps(f"x{COMMAND}#{ESCAPE}")
    (run / "checkpoints/step-00000004/MANIFEST.json").write_text(f"{{{key}: 1, {key}: 2}}")
    said = []
    assert checkpoint.newest(run / "checkpoints", said.append).step == 2
    assert len(said) == 1 and "is in it twice" in said[0] and len(is_clean(said[0]).splitlines()) == 1
    code, _, err = forge("checkpoint", "inspect", run)
    assert code == 0 and "is in it twice" in is_clean(err)


def test_95_keys_of_json():
    with pytest.raises(ValueError, match=r"^'a' is in it twice$"):
        read_json(b'{"a": 1, "a": 2}')


def test_95_the_name_of_a_recipe(run):
    (run / "env.json").write_text(json.dumps({"recipe": f"x{COMMAND}{ESCAPE}"}))
    assert is_clean(RunFolder.open(run).recipe().name).startswith(r"x\ntouch owned\n\x1b]0;")
    (run / "env.json").write_text("[" * 100_000)
    assert RunFolder.open(run).recipe().name == "resolved"


def test_95_names_of_images(run, tmp_path, monkeypatch):
    trained = Run(read_recipe(run / "resolved.yaml", set=["steps=6"]), QUIET, run)
    monkeypatch.setattr(diverged, "image_names", lambda *of: [f"a{COMMAND}{ESCAPE}.png"])

    def diverge(batch, done):
        raise NotFiniteError(done, "generator", [["loss x"]], [{"x": float("nan")}])

    monkeypatch.setattr(trained.trainer, "step", diverge)
    with pytest.raises(DivergedError, match=r"images of this step: a\\ntouch owned") as caught:
        trained.train()
    is_clean(str(caught.value))


def test_95_what_a_server_says(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with (
        serving(b"") as server,
        pytest.raises(DataError, match=r"the server answers 404 \\x1b\]0;owned\\x07") as caught,
    ):
        server.status, server.reason = 404, "\x1b]0;owned\x07"
        fetch(PublicData("mine", f"{server.url}/set.zip", "two_folders", "a, b"), tmp_path)
    is_clean(str(caught.value))


def test_95_names_and_warnings_of_records(forge, tmp_path):
    names = [f"x{ESCAPE}".replace("\u2028", ""), "[/y]", ":fire:"]
    for name in names:
        append(record(name, f"beware {names[0]}"), tmp_path)
    out = is_clean(forge("report", tmp_path)[1])
    assert r"x\x1b]0;owned\x07" in out and "[/y]" in out and ":fire:" in out and r"beware x\x1b]" in out


def test_95_arguments_that_no_command_takes(forge):
    code, _, err = forge("recipes", "munit", f"x{ESCAPE}")
    assert code == 2 and r"unexpected extra argument (x\x1b]0;owned" in is_clean(err)


def test_95_a_record_of_losses_holds_numbers(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "g/gan/ab": 0.5, "g/x/ab": "0.5", "images": [1]}\n')
    assert [entry for _, entry in RunFolder(tmp_path).records()] == [{"step": 1, "g/gan/ab": 0.5}]


def test_95_errors_notes_and_tables(forge, capsys):
    code, _, err = forge("checkpoint", "inspect", f"nowhere{ESCAPE}")
    assert code == 5 and r"nowhere\x1b]0;owned\x07" in is_clean(err)
    TrainingProgress(Path("samples"), "cpu").note(f"x{ESCAPE}")
    assert r"x\x1b]" in is_clean(capsys.readouterr().err)
    shown = io.StringIO()
    console(file=shown, force_terminal=True, width=80).print(f"[red]x[/green]{ESCAPE}", style="bold")
    assert r"[red]x[/green]\x1b]0;owned" in shown.getvalue()
    assert shown.getvalue().startswith("\x1b[1m")  # its own are meant
