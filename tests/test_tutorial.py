"""The tutorial (`docs/plugins.md`) is followed as a reader would: its files are written, its commands run, in order."""

import inspect
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_external_plugin import OFFLINE, PACKAGE, PIP, announce, environment_in, forget, run

from i2i_forge.catalog import hookspecs
from i2i_forge.catalog.registry import KINDS

FILE = Path(__file__).parents[1] / "docs" / "plugins.md"
TEXT = FILE.read_text(encoding="utf-8")
QUICK = [  # what makes training short; the last `--steps` of a command counts
    "--steps=2", "--set=data.workers=0", "--set=data.test_count=2", "--set=data.batch=2", "--set=run.sample_styles=1",
    "--set=run.sample_inputs=1",
]  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A fenced block: what the reader does with it."""

    language: str
    file: str  # where it is saved, the last file that the paragraph above names; "" for commands
    text: str


def blocks():
    found = []
    for above, language, text in re.findall(r"((?:.+\n)*)\n```(\w+)\n((?:.*\n)*?)```\n", TEXT):
        files = re.findall(r"`([\w/]+\.(?:py|yaml))`", above)
        found.append(Block(language, "" if language == "sh" else files[-1], text))
    return found


BLOCKS = blocks()


def test_every_block_is_understood():
    assert len(BLOCKS) == len(re.findall("^```", TEXT, re.MULTILINE)) / 2
    assert {block.language for block in BLOCKS} == {"python", "yaml", "sh"}


@pytest.mark.parametrize("file", sorted((PACKAGE / "src").rglob("*.[py]*[yl]")), ids=lambda file: file.name)
def test_the_tutorial_holds_the_package_whole(file):
    name = str(file.relative_to(PACKAGE))
    pieces = [block.text.strip("\n") for block in BLOCKS if block.file == name]
    squeezed = [re.sub(r"\n\n+", "\n\n", text).strip() for text in ("\n\n".join(pieces), file.read_text())]
    assert squeezed[0] == squeezed[1]


def test_links_lead_somewhere():
    prose = re.sub(r"```\w+\n(?:.*\n)*?```\n", "", TEXT)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        assert (FILE.parent / target).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_all_hooks_and_registries_are_listed():
    specs = [hook for hook in vars(hookspecs).values() if hasattr(hook, "i2i_forge_spec")]
    hooks = {f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})" for hook in specs}
    assert hooks | {f"catalog.{kind}" for kind in KINDS} <= set(re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE))


def follow(blocks, command):
    """Save the files and give every command line to `command`; a file in several pieces grows."""
    begun = set()
    for block in blocks:
        if block.language == "sh":
            for line in block.text.splitlines():
                command(shlex.split(line))
            continue
        file = Path.cwd() / block.file
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() + "\n" if file in begun else ""
        file.write_text(before + block.text)
        begun.add(file)


def quick(words):
    """A command as in the tutorial, but short."""
    if "train" not in words:
        return words
    solver = ["--set=state.solver.steps=1"] if any("bridge" in word for word in words) else []
    return [*words, *QUICK, *solver]


def test_a_reader_can_follow_it(forge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []

    def command(words):
        done.append(words[0])
        match words:
            case ["cd", folder]:
                monkeypatch.chdir(folder)
            case ["mv", source, target]:
                shutil.move(source, target)
            case ["pip", "install", "-e", _]:
                announce(Path.cwd(), tmp_path / "site" / Path.cwd().name, monkeypatch)
            case ["python", *_] | ["forge", *_, "plugin", "check", _]:
                pass  # see the slow test
            case ["forge", *arguments]:
                code, _, err = forge(*quick(arguments))
                assert code == 0, (words, err)

    try:
        follow(BLOCKS, command)
    finally:
        forget("forge_bridge", "gradient_l1")
    assert set(done) == {"forge", "cd", "mv", "pip", "python"}
    assert len(list((tmp_path / "forge-bridge" / "out").glob("*-0?.png"))) == 6 * 8


def test_a_slip_is_answered_as_the_tutorial_says(forge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    follow(BLOCKS[:1], None)
    slip = "phases.generator.minimize.edges=10 * gradient_l1(translaton, target)"
    code, _, err = forge("--plugins", "mine", "check", "pix2pix_synthetic", "--set", slip)
    assert code == 3 and "did you mean 'translation'?" in err


@pytest.mark.slow
def test_a_reader_can_follow_it_in_an_environment_of_their_own(tmp_path, monkeypatch):
    """The very commands, pip and pytest among them; only training is shorter."""
    python = environment_in(tmp_path / "venv")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def command(words):
        match words:
            case ["cd", folder]:
                monkeypatch.chdir(folder)
            case ["mv", source, target]:
                shutil.move(source, target)
            case ["pip", "install", *rest]:
                run(*PIP, "--python", python, "install", *OFFLINE, *rest)
            case ["python", *arguments]:
                run(python, *arguments)
            case ["forge", *arguments]:
                run(python, "-m", "i2i_forge", *quick(arguments))

    follow(BLOCKS, command)
