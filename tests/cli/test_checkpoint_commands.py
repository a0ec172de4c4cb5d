"""forge checkpoint: import, export, verify, inspect."""

import json
import shutil

import pytest
import torch
from PIL import Image
from shrink import small

from i2i_forge.cli import main
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint

TINY = (
    "data.count=2", "data.test_count=1", "data.batch=1", "data.workers=0", "steps=2",
    *small(content_encoder="blocks=1", decoder="blocks=1 mlp_dim=8 style_dim=3"), "networks.style_encoder.width=6",
    "networks.style_encoder.dim=3", "networks.discriminator.width=5", "networks.discriminator.scales=2",
    "networks.discriminator.layers=2", "run.checkpoint_every=1", "run.sample_inputs=1", "run.sample_styles=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run with checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    sets = [part for change in TINY for part in ("--set", change)]
    with pytest.raises(SystemExit) as ended:
        main(["train", "munit_synthetic", "--run", str(folder), "--device", "cpu", *sets])
    assert ended.value.code == 0
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """gen and dis in the published layout, with the widths of the tiny run."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.raises(SystemExit) as ended:
        main(["checkpoint", "export", str(run), "--format", "nvlabs-munit", "--out", str(folder)])
    assert ended.value.code == 0
    return folder / "gen_00000002.pt", folder / "dis_00000002.pt"


@pytest.fixture
def damaged(run, tmp_path):
    """A copy of the run whose newest checkpoint has one wrong byte."""
    copy = tmp_path / "damaged"
    shutil.copytree(run, copy)
    file = copy / "checkpoints/step-00000002/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return copy


def weights(run):
    return checkpoint.newest(run / "checkpoints", pytest.fail).model


def imported(forge, *files, run):
    return forge("checkpoint", "import", *files, "--format", "nvlabs-munit", "--run", run)


# ---- import and export -----------------------------------------------------------------------------------------


def test_export_writes_plain_tensors_in_the_published_layout(exported):
    gen, dis = (torch.load(file, weights_only=True) for file in exported)
    assert sorted(gen) == sorted(dis) == ["a", "b"]
    assert gen["a"]["enc_content.model.0.conv.weight"].shape == (4, 3, 7, 7)
    assert {name.partition(".")[0] for name in gen["b"]} == {"enc_style", "enc_content", "dec", "mlp"}
    assert {name.split(".")[1] for name in dis["b"]} == {"0", "1"}


def test_what_is_imported_is_what_was_trained_and_is_exported_again(forge, run, exported, tmp_path):
    """Widths and depths are read from the files; names, weights, step and translations are the same."""
    new = tmp_path / "new"
    code, out, err = imported(forge, *exported, run=new)
    assert code == 0
    assert out == f"{new}: gen, dis imported. Next: forge translate {new} IMAGES --out DIR\n"
    assert "the weights are of step 2, where training goes on" in err
    assert checkpoint.list_steps(new / "checkpoints") == [2]
    ours, theirs = weights(run), weights(new)
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)
    before, after = (read_recipe(folder / "resolved.yaml").networks for folder in (run, new))
    assert (after["discriminator"].options["layers"], after["discriminator"].options["scales"]) == (2, 2)
    for role in before:
        options = before[role].options
        assert {key: after[role].options[key] for key in options} == options

    Image.effect_noise((70, 50), 80).convert("RGB").save(tmp_path / "x.png")
    for name, folder in (("a", run), ("b", new)):
        assert forge("translate", folder, tmp_path / "x.png", "--out", tmp_path / name, "--styles", 2)[0] == 0
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()

    code, out, _ = forge("checkpoint", "export", new, "--format", "nvlabs-munit", "--out", tmp_path / "e")
    files = [tmp_path / "e/gen_00000002.pt", tmp_path / "e/dis_00000002.pt"]
    assert (code, out.splitlines()) == (0, [str(file) for file in files])
    for old, file in zip(exported, files, strict=True):
        one, two = (torch.load(each, weights_only=True) for each in (old, file))
        for domain in "ab":
            assert list(one[domain]) == list(two[domain])
            assert all(one[domain][name].equal(two[domain][name]) for name in one[domain])


def test_the_generator_alone_is_enough_to_translate(forge, run, exported, tmp_path):
    code, out, err = imported(forge, exported[0], run=tmp_path / "new")
    assert (code, "gen imported" in out) == (0, True)
    assert "no file of 'dis' was given: its networks are freshly drawn" in err
    ours, theirs = weights(run), weights(tmp_path / "new")
    names = [name for name in ours if not name.startswith("discriminator")]
    assert all(ours[name].equal(theirs[name]) for name in names)
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    assert forge("translate", tmp_path / "new", tmp_path / "x.png", "--out", tmp_path / "out")[0] == 0
    facts = json.loads(forge("checkpoint", "inspect", tmp_path / "new", "--json")[1])
    assert facts["imported_from"] == {"gen": str(exported[0])}
    assert facts["format_of_origin"] == "nvlabs-munit"


def test_training_goes_on_from_an_import(forge, exported, tmp_path):
    run = tmp_path / "new"
    arguments = ["--format", "nvlabs-munit", "--run", run, "--recipe", "munit_synthetic"]
    assert forge("checkpoint", "import", *exported, *arguments)[0] == 0
    before = weights(run)
    arguments = ["train", run / "resolved.yaml", "--run", run, "--steps", 3, "--set", "data.workers=0"]
    code, _, err = forge(*arguments, "--set", "seed=3")
    assert code == 5 and "seed: 0 there, 3 here" in err  # it is the run of a recipe like any other
    code, _, err = forge(*arguments, "--set", "run.sample_inputs=1")
    assert code == 0 and "after step 2" in err, err  # with the imported weights, not freshly drawn ones
    after = weights(run)
    assert all(not after[name].equal(before[name]) for name in after if name.endswith("conv.weight"))


def test_what_cannot_be_imported(forge, run, exported, tmp_path):
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html>404</html>")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"a": {"w": torch.zeros(2)}, "b": {"w": torch.zeros(2)}}, tmp_path / "other.pt")
    torch.save({"model": {"w": torch.zeros(2)}}, tmp_path / "flat.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "cut.pt").write_bytes(exported[0].read_bytes()[:2000])
    for name, words in {
        "nowhere.pt": "there is no such file",
        "page.pt": "looks like HTML",
        "text.pt": "text.pt: not a checkpoint",
        "empty.pt": "empty.pt: not a checkpoint",
        "cut.pt": "cut.pt: not a checkpoint",
        "other.pt": "not a checkpoint of the published MUNIT code",
        "flat.pt": "not a checkpoint of the published MUNIT code",
        "list.pt": "not a checkpoint of the published MUNIT code",
    }.items():
        code, out, err = imported(forge, tmp_path / name, run=tmp_path / "new")
        assert (code, out) == (5, ""), (name, err)
        assert words in err and "fix: " in err and len(err.splitlines()) <= 6, (name, err)
        assert not (tmp_path / "new").exists()


def test_a_pickle_that_would_run_code_is_not_run(forge, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "canary"), "w"))

    torch.save({"a": Bomb(), "b": {}}, tmp_path / "bomb.pt")
    code, _, err = imported(forge, tmp_path / "bomb.pt", run=tmp_path / "new")
    assert code == 5
    assert "not a checkpoint that can be read safely (it asks for io.open, which is no tensor)" in err
    assert not (tmp_path / "canary").exists()


def test_usage_of_import(forge, run, exported, tmp_path):
    code, _, err = imported(forge, exported[0], exported[0], run=tmp_path / "new")
    assert code == 2 and "are both 'gen'" in err
    code, _, err = imported(forge, *exported, run=run)
    assert code == 2 and "there is a run already" in err
    code, _, err = forge("checkpoint", "import", *exported, "--format", "nvlabs-mnit", "--run", tmp_path / "new")
    assert code == 6 and "did you mean 'nvlabs-munit'?" in err
    code, _, err = forge("checkpoint", "export", run, "--format", "nvlabs-munit", "--out", exported[0])
    assert code == 2 and "cannot be written" in err
    assert not (tmp_path / "new").exists()


def test_of_files_of_different_steps_the_fewest_count(forge, exported, tmp_path):
    """That is where training and its schedules go on."""
    other = shutil.copy(exported[1], tmp_path / "dis_00010000.pt")
    code, _, err = imported(forge, exported[0], other, run=tmp_path / "other")
    assert code == 0 and f"different steps, the fewest count: {exported[0]}: 2, {other}: 10,000" in err
    assert checkpoint.list_steps(tmp_path / "other/checkpoints") == [2]
    unnamed = shutil.copy(exported[1], tmp_path / "edges2shoes.pt")
    code, _, err = imported(forge, unnamed, run=tmp_path / "unnamed")
    assert code == 0 and "step" not in err
    assert "no file of 'gen' was given: its networks are freshly drawn" in err
    assert checkpoint.list_steps(tmp_path / "unnamed/checkpoints") == [0]


def test_the_published_optimizers_are_refused_by_what_they_are(forge, exported, tmp_path):
    torch.save({"gen": {"state": {}, "param_groups": []}, "dis": {}}, tmp_path / "optimizer.pt")
    code, _, err = imported(forge, *exported, tmp_path / "optimizer.pt", run=tmp_path / "new")
    assert code == 5 and "optimizer.pt holds the optimizers' state, which is not imported" in err
    assert not (tmp_path / "new").exists()


# ---- verify and inspect ----------------------------------------------------------------------------------------


def state_of(folder):
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def test_verify(forge, run):
    before = state_of(run)
    code, out, _ = forge("checkpoint", "verify", run)
    verdict = "can be trusted: step 2, taken again from the checkpoint of step 1, has the 10 logged losses bit for bit"
    assert (code, out) == (0, f"step-00000001: good\nstep-00000002: good\n{run}: {verdict}\n")
    code, out, _ = forge("checkpoint", "verify", run, "--json")
    said = json.loads(out)
    assert (code, said["trusted"], said["verdict"]) == (0, True, verdict)
    assert said["checkpoints"] == {"step-00000001": "good", "step-00000002": "good"}
    assert (said["replayed"]["begun"], said["replayed"]["step"], said["replayed"]["difference"]) == (1, 2, 0)
    assert state_of(run) == before


def test_verify_names_what_is_damaged(forge, damaged):
    code, out, err = forge("checkpoint", "verify", damaged)
    assert code == 5
    assert out.splitlines()[0] == "step-00000001: good"
    assert out.splitlines()[1] == "step-00000002: damaged: model.safetensors has the wrong SHA-256"
    assert "not to be trusted: 1 of 2 checkpoints cannot be used" in err and "step-00000001" in err
    code, out, _ = forge("checkpoint", "verify", damaged, "--json")
    said = json.loads(out)
    assert (code, said["trusted"], said["replayed"]["difference"]) == (5, False, 0)
    assert "SHA-256" in said["checkpoints"]["step-00000002"]


def test_verify_when_all_are_damaged(forge, damaged):
    (damaged / "checkpoints/step-00000001/MANIFEST.json").unlink()
    code, out, err = forge("checkpoint", "verify", damaged)
    assert code == 5 and len(out.splitlines()) == 3
    assert "2 of 2 checkpoints cannot be used" in err and "restore the folder from a copy" in err


def test_verify_when_the_log_says_something_else(forge, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    log = tmp_path / "run/metrics.jsonl"
    entry = json.loads(log.read_text().splitlines()[-1])
    entry["generator/image/ab"] *= 1 + 1e-9
    log.write_text(json.dumps(entry))
    code, out, err = forge("checkpoint", "verify", tmp_path / "run")
    assert code == 5
    assert "not to be trusted: step 2, taken again" in out
    assert "in generator/image/ab; the environment is the same" in out
    assert "fix: images, code or log have changed since" in err


def test_replay(forge, run):
    before = state_of(run)
    code, out, err = forge("checkpoint", "replay", run, "--step", 1, "--json")
    said, logged = json.loads(out), json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert (code, said["begun"], said["step"], logged["step"]) == (0, 1, 1, 2)
    assert said["losses"] == said["logged"] == {name: value for name, value in logged.items() if name.count("/") == 2}
    assert sorted(said["gradients"]) == ["discriminator", "generator"]
    assert said["gradients"]["discriminator"]["discriminator.a"] > 0
    assert (said["problem"], said["where"], len(said["images"])) == ("", "", 2)
    code, out, err = forge("checkpoint", "replay", run, "--step", 1)
    assert code == 0 and f"step 1 of {run}, from the checkpoint of step 1" in err
    for words in ("generator/image/ab", "gradient norm", "content_encoder.b", said["images"][0]):
        assert words in out
    assert state_of(run) == before


def test_replay_names_what_is_not_finite(forge, tmp_path):
    """The weight outgrows fp32 at the third step."""
    sets = [part for change in (*TINY, "steps=4") for part in ("--set", change)]
    grows = "phases.generator.minimize.image=linear(10, 1.0e+39, steps=4) * l1(reconstruction, source)"
    code, _, err = forge("train", "munit_synthetic", "--run", tmp_path, "--device", "cpu", *sets, "--set", grows)
    assert code == 7
    step = int(err.partition("not finite at step ")[2].partition(":")[0])
    assert step > 0
    code, out, err = forge("checkpoint", "replay", tmp_path, "--step", step)
    assert code == 7
    assert f"not finite at step {step}: the weighted sum" in err
    assert "every loss is finite, their weighted sum or its gradient's norm is not" in err
    assert "generator/image/ab" in out
    code, out, _ = forge("checkpoint", "replay", tmp_path, "--step", step - 1)
    assert code == 0


def test_inspect(forge, run):
    code, out, _ = forge("checkpoint", "inspect", run, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["recipe"], facts["step"], facts["images"], facts["format"]) == ("munit_synthetic", 2, 2, 1)
    numbers = {
        role: sum(v.numel() for n, v in weights(run).items() if n.startswith(f"{role}."))
        for role in facts["parameters"]
    }
    assert facts["parameters"] == numbers
    assert sorted(numbers) == ["content_encoder", "decoder", "discriminator", "style_encoder"]
    code, out, _ = forge("checkpoint", "inspect", run)
    assert code == 0 and "recipe: munit_synthetic" in out and "step: 2" in out
    assert f"  discriminator: {numbers['discriminator']:,}" in out


def test_inspect_of_a_damaged_one_warns_and_shows_the_one_before(forge, damaged):
    code, out, err = forge("checkpoint", "inspect", damaged, "--json")
    assert (code, json.loads(out)["step"]) == (0, 1)
    assert "step-00000002 is damaged" in err and "using step 1" in err


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_no_run_and_no_checkpoint(forge, run, tmp_path, command):
    code, out, err = forge("checkpoint", command, tmp_path)
    assert (code, out) == (5, "") and "there is no run here" in err
    shutil.copytree(run, tmp_path / "new")
    shutil.rmtree(tmp_path / "new/checkpoints")
    code, out, err = forge("checkpoint", command, tmp_path / "new")
    assert code == 5 and "has no checkpoint yet" in err
