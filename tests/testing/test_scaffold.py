"""Packages that `forge plugin new` writes: they pass their own tests at once and read as if written by hand."""

import importlib
import runpy
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.errors import UsageError
from i2i_forge.testing import kit
from i2i_forge.testing.inputs import images
from i2i_forge.testing.plugins import find_target
from i2i_forge.testing.scaffold import KINDS, names_of, write_package

RULES = "E,F,W,I,UP,B,C4,SIM,RET,PTH,T20,RUF"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_own_tests(kind, installed, monkeypatch):
    monkeypatch.setattr(kit, "import_problems", lambda plugins: {plugin.name: [] for plugin in plugins})
    names, folder = installed(kind)
    tests = runpy.run_path(str(folder / "tests" / f"test_{names.module}.py"))
    run = [test() for name, test in tests.items() if name.startswith("test_")]
    assert len(run) >= 2
    results = kit.run_checks(names.module)
    assert not [result for result in results if result.skipped], "nothing has to be explained away"
    assert {result.component for result in results} == {
        "",
        f"{find_target(names.module)[1][0].provides[0].kind}: {names.module}",
    }


def test_a_new_component_takes_a_step_in_its_recipe(installed):
    for kind in ("loss", "decoder"):
        names, folder = installed(kind)
        recipe = i2i_forge.load_recipe(
            folder / "src" / names.module / f"{names.module}.yaml",
            set=["networks.content_encoder.width=4", "networks.decoder.width=4", "networks.discriminator.width=4"],
        )
        trainer = i2i_forge.build_trainer(recipe, catalog=load_plugins().catalog)
        report = trainer.step({domain: images(1, seed=seed) for seed, domain in enumerate("ab")}, 0)
        assert kind != "loss" or report["generator/extra/ab"] > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", "a-rather-long-name-of-a-plugin"])
def test_a_new_package_is_tidy(kind, name, tmp_path):
    files = write_package(names_of(name), kind, tmp_path / name)
    for file in files:
        text = file.read_text()
        assert text.endswith("\n") and not text.endswith("\n\n"), file
        assert "$" not in text, file
    ruff = [sys.executable, "-m", "ruff"]
    for arguments in (["check", "--select", RULES], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *arguments, "--isolated", "--line-length", "120", "--target-version", "py311", "."],
            cwd=tmp_path / name, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_names_what_is_there(kind, tmp_path):
    names = names_of("soft-edges")
    write_package(names, kind, tmp_path / "soft-edges")
    text = (tmp_path / "soft-edges" / "README.md").read_text()
    for command in ("pip install -e '.[test]'", "pytest", "forge plugin check soft_edges"):
        assert f"    {command}\n" in text
    for word in text.replace("`", " ").replace(".\n", "\n").split():
        if word.startswith("src/"):
            assert (tmp_path / "soft-edges" / word.rstrip(":,;")).exists(), word


def test_it_asks_for_this_version_of_i2i_forge(tmp_path):
    write_package(names_of("soft-edges"), "loss", tmp_path / "soft-edges")
    project = tomllib.loads((tmp_path / "soft-edges" / "pyproject.toml").read_text())["project"]
    needed = Requirement(project["dependencies"][0])
    assert needed.name == "i2i-forge"
    assert needed.specifier.contains(i2i_forge.__version__)
    assert not needed.specifier.contains("99.0")


def test_names_follow_from_the_packages_name():
    names = names_of("Soft_Edges.2")
    assert (names.package, names.module, names.class_name) == ("soft-edges-2", "soft_edges_2", "SoftEdges2")
    assert names.title == "Soft edges 2"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("soft edges", "cannot be the name of a package"),
        ("-edges", "cannot be the name of a package"),
        ("../edges", "cannot be the name of a package"),
        ("", "cannot be the name of a package"),
        ("2d", "'2d' is no name in Python"),
        ("lambda", "'lambda' is no name in Python"),
        ("none", "no name in Python"),
        ("torch", "there is a Python module 'torch' already"),
        ("random", "there is a Python module 'random' already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name, says):
    with pytest.raises(UsageError) as error:
        names_of(name)
    assert says in str(error.value)


@pytest.mark.parametrize(("name", "kind"), [("metric", "metric"), ("tensor", "encoder"), ("trainer", "trainer")])
def test_a_name_that_the_component_needs_itself_is_refused(name, kind, tmp_path):
    with pytest.raises(UsageError, match=f"'{name}' is taken: the plugin itself needs the name {name.capitalize()}"):
        write_package(names_of(name), kind, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "soft-edges").mkdir()
    with pytest.raises(UsageError, match="soft-edges exists already"):
        write_package(names_of("soft-edges"), "loss", tmp_path / "soft-edges")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        write_package(names_of("soft-edges"), "loss", tmp_path / "file" / "soft-edges")


@pytest.mark.slow
def test_a_wheel_is_built_installed_and_checked(tmp_path):
    names = names_of("soft-method")
    write_package(names, "trainer", tmp_path / names.package)

    def run(*command):
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path / names.package, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path)
    (wheel,) = tmp_path.glob("soft_method-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python, (site,) = tmp_path / "venv/bin/python", (tmp_path / "venv/lib").glob("python*/site-packages")
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel)
    for path in (path for path in sys.path if path.endswith("site-packages")):  # i2i_forge and what it needs
        (site / "host.pth").write_text(f"import site; site.addsitedir({path!r})\n")
    assert "trainers: soft_method" in run(python, "-m", "i2i_forge", "plugins")
    assert "checks fail" not in run(python, "-m", "i2i_forge", "plugin", "check", "soft-method")
    assert "2 passed" in run(python, "-m", "pytest", "-q", "tests")


def test_a_folder_without_code_does_not_take_the_name(tmp_path, monkeypatch):
    (tmp_path / "soft_edges").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert names_of("soft-edges").module == "soft_edges"
    (tmp_path / "soft_edges" / "__init__.py").touch()
    importlib.invalidate_caches()
    with pytest.raises(UsageError, match="there is a Python module 'soft_edges' already"):
        names_of("soft-edges")
