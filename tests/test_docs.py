"""The documentation tells the truth: its recipes parse, its code runs, its commands exist."""

import math
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from loaded import CATALOG

import i2i_forge
from i2i_forge.catalog import hookspecs
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.cli import COMMANDS, cli
from i2i_forge.engine import build

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
IMAGES = (ROOT / "docs/images.md").read_text()
MEASURING = (ROOT / "benchmarks/README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_recipe_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    recipe = i2i_forge.load_recipe(file)
    assert {"cycle", "variety"} <= set(recipe.phases["generator"].minimize)


def test_readme_plugin_is_a_loss_that_a_recipe_uses(tmp_path: Path) -> None:
    plugin = next(block for block in blocks("python") if "hookimpl" in block)
    (tmp_path / "log_cosh.py").write_text(plugin)
    host = load_plugins([tmp_path])
    assert host.catalog.losses.get("log_cosh")(torch.ones(2), torch.zeros(2)).item() == pytest.approx(
        math.log(math.cosh(1))
    )


def test_readme_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in blocks("python") if "load_recipe" in block)
    small = ["networks.decoder.width=4", "networks.content_encoder.width=4"]
    load = i2i_forge.load_recipe
    monkeypatch.setattr(
        i2i_forge, "load_recipe", lambda name, set, drop: load(name, set=set + small, drop=drop), raising=False
    )
    without_run = code.partition("translator =")[0]
    names = {"a": torch.rand(1, 3, 64, 64), "b": torch.rand(1, 3, 64, 64)}
    exec(without_run, names)
    assert "generator/image/ab" in names["report"]
    assert "generator/style/ab" not in names["report"]


def test_python_of_the_page_on_measuring_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python", MEASURING)
    draws = torch.Generator().manual_seed(0)
    names = {name: torch.rand(*shape, 3, 64, 64, generator=draws) * 2 - 1 for name, shape in (
        ("images", (2, 3)), ("real", (3,)))}  # fmt: skip
    exec(code, names)
    value, *_ = capsys.readouterr().out.split()
    assert float(value) > 0


def test_the_page_on_measuring_has_every_metric() -> None:
    for entry in CATALOG.metrics.entries():
        assert f"`{entry.name}`" in MEASURING, entry.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"forge {name}" in README


def test_every_command_line_in_the_documents_exists() -> None:
    for name in re.findall(
        r"(?<![_-])forge (?:--plugins \w+ )?([a-z]+)",
        README + ARCHITECTURE + MEASURING + (ROOT / "CHANGELOG.md").read_text(),
    ):
        assert cli.get_command(None, name) is not None, name


SETUPS = re.split(r"^## ", IMAGES, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("section", SETUPS, ids=[section.partition("\n")[0] for section in SETUPS])
def test_a_kind_of_images_takes_at_most_five_commands_and_no_python(section: str, tmp_path: Path) -> None:
    (lines,) = blocks("sh", section)
    assert len(lines.splitlines()) <= 5 and "```python" not in section
    for line in [*lines.splitlines(), *re.findall(r"`(forge data [^`]+)`", section)]:
        _, *words = shlex.split(line)
        command: Any = cli
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    for text in blocks("yaml", section):
        (tmp_path / "mine.yaml").write_text(text)
        recipe = i2i_forge.load_recipe(tmp_path / "mine.yaml")
        assert set(recipe.domains) >= {"a", "b"}
        build.trace_recipe(recipe, CATALOG)


@pytest.mark.parametrize("hook", [n for n in vars(hookspecs) if hasattr(getattr(hookspecs, n), "i2i_forge_spec")])
def test_every_hook_is_documented_in_one_sentence(hook: str) -> None:
    text = getattr(hookspecs, hook).__doc__
    assert text.count(".") == 1
    assert text.endswith(".")
    assert hook in ARCHITECTURE + README


@pytest.mark.parametrize(
    "document",
    [
        "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md",
        "docs/images.md",
    ],
)  # fmt: skip
def test_links_and_pictures_exist(document: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / document).read_text()):
        assert target.startswith(("http", "#")) or ((ROOT / document).parent / target).exists(), target


def test_the_rooms_in_the_documents_are_the_tested_ones() -> None:
    from test_layers import ROOMS

    assert re.findall(r"^\| `(\w+)` \|", ARCHITECTURE, re.MULTILINE) == ROOMS


def test_makefile_targets_of_the_readme_exist() -> None:
    for target in re.findall(r"make (demo|test|lint|types|slow)", README):
        assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False).returncode == 0
