"""What the shell completes on `forge` lines."""

import os
import subprocess
import sys

import pytest

from i2i_forge.cli import cli
from i2i_forge.cli.completion import VARIABLE, WholeWordBash

BREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture
def complete(monkeypatch):
    """What bash is told for a line with the cursor at its end."""

    def ask(line):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_WORDBREAKS", BREAKS)
        return WholeWordBash(cli, {}, "forge", VARIABLE).complete().splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("forge tr", ["train", "translate"]),
        ("forge train munit_synthe", ["munit_synthetic"]),
        ("forge train munit_synthetic --dr", ["--drop"]),
        ("forge train munit_synthetic --drop generator.i", ["generator.image"]),
        ("forge train munit_synthetic --set data.us", ["data.use="]),
        ("forge train munit_synthetic --set netw", ["networks."]),
        ("forge train munit_synthetic --set networks.decoder.mlp", ["networks.decoder.mlp_dim="]),
        ("forge train munit_synthetic --set phases.generator.minimize.im", ["phases.generator.minimize.image="]),
        # bash cuts at "=": the answer is what comes behind it
        ("forge train munit_synthetic --set data.use=proc", ["procedural_shoes"]),
        ("forge train munit_synthetic --set data.size=64 --set data.paired=", ["true", "false"]),
        ("forge show unit_synthetic --set optimizers.default.use=ada", ["adam", "adamw"]),
        ("forge check munit_synthetic --set data.use=paired_folders --set data.direction=", ["AtoB", "BtoA"]),
        ("forge check munit_synthetic --set precision=b", ["bf16"]),
        ("forge eval --metric lpips-d", ["lpips-diversity"]),
        ("forge eval --metric cis --protocol k", ["k10/1", "kid="]),
        ("forge eval --protocol cis=mu", ["munit-2018/1"]),
        # nothing to say, and no complaint
        ("forge train no_such_recipe --drop ", []),
        ("forge train munit_synthetic --set nothing.", []),
        ("forge train munit_synthetic --set seed=", []),
        ("forge --plugins nothing train munit_synthetic --set data.", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_completions(complete, line, expected):
    assert complete(line) == [f"plain,{word}" for word in expected]


def test_a_command_that_is_not_there_is_no_complaint(complete):
    assert "plain,train" in complete("forge trian --set ")


def test_a_path_is_left_to_the_shell_and_recipes_of_the_folder_are_offered(complete, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("base: munit_synthetic\nphases: {generator: {minimize: {own: 'l1(a, b)'}}}\n")
    monkeypatch.chdir(tmp_path)
    assert complete("forge train ./mi") == ["file,./mi"]
    assert complete("forge train mi") == ["plain,mine.yaml"]
    assert complete("forge train mine.yaml --drop generator.o") == ["plain,generator.own"]


def test_components_of_ones_own_plugins(complete, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from i2i_forge import hookimpl\nclass Mine:\n    def __init__(self, depth: int = 3): ...\n"
        "@hookimpl\ndef register_components(catalog):\n    catalog.decoders.add('mine', Mine)\n"
    )
    line = f"forge --plugins {tmp_path} train munit_synthetic --set networks.decoder.use=mi"
    assert complete(line) == ["plain,mine"]
    assert complete(f"{line}ne --set networks.decoder.de") == ["plain,networks.decoder.depth="]


def test_torch_is_not_imported(forge_process):
    line = "forge eval --metric cis --protocol munit-2018/1 --metric "
    done = forge_process(**{VARIABLE: "bash_complete", "COMP_WORDS": line})
    assert "plain,lpips-diversity" in done.stdout and done.stderr == "" and done.returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_forge(forge, shell):
    code, out, err = forge("completion", shell)
    assert (code, err) == (0, "") and f"{VARIABLE}={shell}_complete" in out


def test_bash_uses_the_script(tmp_path):
    forge = tmp_path / "forge"
    forge.write_text(f'#!/bin/sh\nexec {sys.executable} -m i2i_forge "$@"\n')
    forge.chmod(0o755)
    line = "forge train munit_synthetic --set networks.decoder.use=ad"
    script = (
        f'eval "$(forge completion bash)"\ncompopt() {{ :; }}\nCOMP_LINE="{line}" COMP_POINT={len(line)}\n'
        '_forge_completion forge && echo "${COMPREPLY[*]}"'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
    )
    assert done.stdout == "adain_residual\n"


def test_help_has_the_line_for_each_shell(forge):
    out = forge("completion", "--help")[1]
    for shell in ("bash", "zsh", "fish"):
        assert f"forge completion {shell}" in out
