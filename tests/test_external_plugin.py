"""A method in a package of its own (`tests/external_plugin`) is found, attributed, and does all that ours do."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import i2i_forge
import i2i_forge.nn

PACKAGE = Path(__file__).parent / "external_plugin"
RECIPE = PACKAGE / "src/forge_bridge/forge_bridge.yaml"
SOURCES = sorted((PACKAGE / "src").rglob("*.py"))
OTHERS = {"__future__", "collections.abc", "itertools", "typing", "torch", "torch.nn"}
TINY = [
    f"--set={change}"
    for change in (
        "networks.velocity.width=4", "networks.velocity.levels=2", "state.solver.steps=2", "data.batch=2",
        "data.workers=0", "data.test_count=3", "run.log_every=1", "run.sample_inputs=1",
    )
]  # fmt: skip


def announce(package, site, monkeypatch):
    """Put a package on the path, announced in the folder `site` as an installation of its pyproject.toml would."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n{needs}"
    )
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["i2i_forge"].items())
    (info / "entry_points.txt").write_text(f"[i2i_forge]\n{points}")
    for folder in (site, package / "src"):
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def forget(*packages):
    """Let modules be imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package, as if installed."""
    announce(PACKAGE, tmp_path / "site", monkeypatch)
    yield
    forget("forge_bridge")


@pytest.fixture
def forge(forge, monkeypatch, tmp_path):
    """Runs a command in an empty folder: what it writes to stdout; to stderr if it fails with `code`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=0):
        found, out, err = forge(*arguments)
        assert found == code, err
        return err if code else out

    return call


def weights(run, step):
    return (run / f"checkpoints/step-{step:08d}/model.safetensors").read_bytes()


def picture(file, width=61, height=97):
    Image.new("RGB", (width, height), (200, 120, 40)).save(file)
    return file


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_package_uses_public_names_only(file):
    offered = {"i2i_forge": i2i_forge.__all__, "i2i_forge.nn": i2i_forge.nn.__all__}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= {"torch"}
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = {alias.name for alias in node.names}
            assert names <= set(offered[node.module]) if "i2i_forge" in node.module else node.module in OTHERS, names
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr == "__init__"


def test_it_is_found_and_attributed(installed, forge):
    listed = {plugin["name"]: plugin for plugin in json.loads(forge("plugins", "--json"))}
    assert listed["forge_bridge"] == {
        "name": "forge_bridge", "distribution": "forge-bridge", "version": "1.0.0", "module": "forge_bridge",
        "status": "ok", "reason": "", "provides": {"trainers": ["bridge"], "decoders": ["time_unet"]},
    }  # fmt: skip


def test_its_recipe_is_found_by_name_like_ours(installed, forge):
    (row,) = json.loads(forge("recipes", "bridge", "--json"))
    assert (row["name"], row["package"], row["method"]) == ("forge_bridge", "forge-bridge", "bridge")
    assert row["needs"].startswith("no files needed") and row["about"].startswith("The bridge at the smallest")
    for name in ("forge_bridge", "forge-bridge:forge_bridge"):
        assert json.loads(forge("check", name, "--json"))["ok"]


def test_its_recipe_is_checked_like_ours(installed, forge):
    facts = json.loads(forge("check", RECIPE, "--json"))
    assert facts["ok"] and facts["network_calls"] == 1
    wrong = forge("check", RECIPE, "--set", "phases.flow.minimize.flow=mse(velocity, drif)", code=3)
    assert "did you mean 'drift'?" in wrong
    assert "'leves'" in forge("check", RECIPE, "--set", "networks.velocity.leves=2", code=3)


def test_its_graph_shows_that_training_takes_no_translation(installed, forge):
    graph = json.loads(forge("show", RECIPE, "--graph", "--json"))
    assert set(graph["terms"]["flow/flow/ab"]) > {"random_start", "time", "mixed"}
    assert graph["pruned"] == {"flow": ["translation"]}


def test_it_trains_resumes_translates_and_is_evaluated(installed, forge, tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    forge("train", RECIPE, *TINY, "--steps=4", "--run", straight)
    for steps in (2, 4):
        forge("train", RECIPE, *TINY, "--steps", steps, "--run", stopped)
    assert weights(stopped, 4) == weights(straight, 4)
    assert list((straight / "samples").glob("*.png"))  # spatial latents too
    environment = json.loads((straight / "env.json").read_text())
    assert environment["plugins"]["forge_bridge"] == "forge-bridge 1.0.0"
    assert environment["components"] == {
        "trainers.bridge": "forge_bridge (forge-bridge 1.0.0)",
        "decoders.time_unet": "forge_bridge (forge-bridge 1.0.0)",
        "datasets.procedural_shoes": f"procedural_shoes (i2i-forge {i2i_forge.__version__})",
        "losses.mse": f"distances (i2i-forge {i2i_forge.__version__})",
    }

    forge("translate", straight, picture(tmp_path / "input.png"), "--out", "out", "--styles", "3")
    translations = [Image.open(f"out/input-0{style}.png") for style in range(3)]
    assert {image.size for image in translations} == {(61, 97)}
    assert len({image.tobytes() for image in translations}) == 3

    measures = ("--metric=lpips-diversity", "--metric=psnr", "--inputs=2", "--samples=2", "--backbone=random")
    records = json.loads(forge("eval", straight, *measures, "--json"))
    assert next(r for r in records if r["metric"].startswith("lpips_diversity"))["value"] > 0


def test_without_its_package_a_recipe_says_what_is_missing(forge):
    assert "there is no 'bridge' among the trainers" in forge("check", RECIPE, code=3)


@pytest.mark.slow
def test_it_learns_shoes(installed, forge):
    forge("train", RECIPE, "--steps=300", "--set=networks.velocity.width=8", "--set=run.log_every=1", "--run=learnt")
    lines = Path("learnt/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["flow/flow/ab"] for line in lines]
    assert sum(losses[-50:]) < 0.5 * sum(losses[:50])


# ---- the wheel, in an environment of its own -------------------------------------------------------------------------


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-index", "--no-build-isolation")


def environment_in(folder):
    """The Python of a new environment, which sees the packages of this one."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of an environment with the package's wheel."""
    folder = tmp_path_factory.mktemp("environment")
    python = environment_in(folder / "venv")
    shutil.copytree(PACKAGE, folder / "source")
    run(*PIP, "wheel", *OFFLINE, "--wheel-dir", folder, folder / "source")
    (wheel,) = folder.glob("forge_bridge-1.0.0-*.whl")
    run(*PIP, "--python", python, "install", *OFFLINE, wheel)
    return python


def run(*command, cwd=None):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(environment, tmp_path):
    def forge(*arguments):
        return run(environment, "-m", "i2i_forge", *arguments, cwd=tmp_path)

    listed = {plugin["name"]: plugin for plugin in json.loads(forge("plugins", "--json"))}
    assert (listed["forge_bridge"]["status"], listed["forge_bridge"]["distribution"]) == ("ok", "forge-bridge")
    assert "no mistakes" in forge("check", "forge_bridge")
    forge("train", "forge_bridge", *TINY, "--steps=2")
    forge("translate", "runs/forge_bridge", picture(tmp_path / "input.png"), "--out", "out")
    assert len(list((tmp_path / "out").glob("input-*.png"))) == 4
    recorded = json.loads((tmp_path / "runs/forge_bridge/env.json").read_text())["plugins"]
    assert recorded["forge_bridge"] == "forge-bridge 1.0.0"


@pytest.mark.slow
def test_its_own_tests_pass_where_it_is_installed(environment, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("src"))
    assert "passed" in run(environment, "-m", "pytest", "-q", cwd=tmp_path / "package")
