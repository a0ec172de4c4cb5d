"""Weights, runs and options that are of another recipe: 84, 85 and 106."""

import json
import re
import shutil
import textwrap
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from forged_checkpoints import forged

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError, RecipeError, UsageError
from i2i_forge.measure import Tools
from i2i_forge.measure.comparison import columns, unlike
from i2i_forge.measure.evaluate import Evaluation
from i2i_forge.measure.plans import choose, plan
from i2i_forge.measure.recording import write_records
from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.checkpoint import initialise
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import differences, edits, fingerprint, settings_of
from i2i_forge.run.loop import Run
from i2i_forge.run.replay.player import Player
from i2i_forge.study.state import write_recipes
from i2i_forge.study.variants import Variant
from i2i_forge.translate.loading import load

NARROW = tuple(f"networks.{role}.width=4" for role in ("encoder", "decoder", "discriminator"))


def trainer_of(catalog, recipe, *changes):
    return build_trainer(read_recipe(recipe, set=[*NARROW, *changes]), catalog)


def exported(trainer, writer, folder, **names):
    """Its parts in files of the given names."""
    files = {}
    for part, content in writer.save(trainer.state_dict()).items():
        if part in names:
            files[part] = folder / names[part]
            torch.save(content, files[part])
    return files


def same(one, other, roles):
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(theirs[name], value) for name, value in mine.items() if name.startswith(roles))


@pytest.fixture
def generators(catalog, tmp_path):
    """A CycleGAN, and its two generators in files whose names do not tell them apart, as they are published."""
    trainer = trainer_of(catalog, "cyclegan_synthetic", "seed=5")
    files = exported(
        trainer, catalog.formats.get("junyanz-cyclegan")(), tmp_path, G_A="horse2zebra.pth", G_B="zebra2horse.pth"
    )
    return trainer, files


def test_84_two_files_for_one_part_are_refused(catalog, generators):
    first, second = generators[1].values()
    trainer = trainer_of(catalog, "cyclegan_synthetic", "seed=6")
    with pytest.raises(UsageError, match=rf"{first} and {second} are both 'G_A'") as caught:
        initialise(trainer, [first, second], catalog.formats, pytest.fail)
    assert "PART=FILE; the parts are G_A, G_B, D_A, D_B" in caught.value.fix
    assert same(trainer, trainer_of(catalog, "cyclegan_synthetic", "seed=6"), "")


def test_84_the_part_of_a_file_can_be_said(catalog, generators):
    whole, files = generators
    trainer, said = trainer_of(catalog, "cyclegan_synthetic", "seed=6"), []
    origin = initialise(trainer, [f"{part}={file}" for part, file in files.items()], catalog.formats, said.append)
    assert same(whole, trainer, ("encoder.", "decoder.")) and not same(whole, trainer, "discriminator.")
    assert origin == {"from": [f"{part}={file}" for part, file in files.items()], "format": "junyanz-cyclegan"}
    assert len(said) == 1 and "holds no discriminator.a, discriminator.b" in said[0]


def test_84_what_stays_random_is_said(catalog, generators):
    """One generator of two: of roles with a network for each domain, one is read."""
    trainer, said = trainer_of(catalog, "cyclegan_synthetic"), []
    initialise(trainer, [generators[1]["G_A"]], catalog.formats, said.append)
    assert "holds no encoder.b, decoder.a, discriminator.a, discriminator.b: freshly drawn" in said[0]


def test_84_of_two_layouts_that_know_a_file_the_one_that_fits_is_taken(catalog, tmp_path):
    """A U-Net alone could be a generator of CycleGAN too."""
    whole = trainer_of(catalog, "pix2pix_synthetic", "seed=5")
    files = exported(whole, catalog.formats.get("junyanz-pix2pix")(), tmp_path, G="latest_net_G.pth")
    trainer, said = trainer_of(catalog, "pix2pix_synthetic", "seed=6"), []
    assert initialise(trainer, [files["G"]], catalog.formats, said.append)["format"] == "junyanz-pix2pix"
    assert same(whole, trainer, ("encoder.", "decoder."))


# ---- 85: an edited recipe ------------------------------------------------------------------------------------------

TRAINED, EDITED = "dropout_at_test: true", "dropout_at_test: false"
SMALL = (*NARROW, "data.count=2", "data.test_count=2", "data.batch=1", "data.workers=0", "run.sample_every=1000")


@pytest.fixture(scope="module")
def trained(quiet, tmp_path_factory):
    """A run of one step."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(quiet, folder, "pix2pix_synthetic", *SMALL, "steps=1")
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def train(quiet, folder, source, *changes):
    return Run(read_recipe(source, set=changes), quiet, folder, source=source).train()


def edit(run):
    """Another setting in the run's own recipe."""
    file = run / "resolved.yaml"
    text = file.read_text()
    assert text.count(TRAINED) == 1
    file.write_text(text.replace(TRAINED, EDITED))
    return run


def test_85_an_edited_run_is_not_resumed(quiet, run):
    edit(run)
    with pytest.raises(
        CheckpointError, match=r"networks\.decoder\.dropout_at_test: True when it was trained, False now"
    ) as caught:
        train(quiet, run, run / "resolved.yaml", "steps=2")
    assert f"add `--init-from {run} --run {run}-2` to this command" in caught.value.fix


def test_85_what_changes_no_number_may_be_edited(quiet, run):
    file = run / "resolved.yaml"
    file.write_text(file.read_text().replace("workers: 0", "timeout: 7.0") + "\nprecision: fp32\n")
    assert train(quiet, run, file, "steps=2", "data.workers=0") == 2


def test_85_images_may_have_moved_when_a_run_resumes_but_not_in_a_study():
    """A study's run that is done would not see the others."""
    one, other = (read_recipe("pix2pix_facades", set=[f"data.root={root}"]) for root in ("here", "there"))
    assert differences(settings_of(one), settings_of(other)) == "" and fingerprint(one) == fingerprint(other)
    places = [settings_of(recipe, places=True) for recipe in (one, other)]
    assert differences(*places) == "data.root: here there, there here"


def test_85_settings_in_a_checkpoint_may_be_a_strangers():
    recipe = read_recipe("pix2pix_synthetic")
    assert edits({"recipe_sha256": "0", "settings": 3}, recipe) == "what differs is not known"
    text = edits(
        {"recipe_sha256": "0", "settings": {**settings_of(recipe), "trainer": "\x1b[2J\n" + "x" * 9999}}, recipe
    )
    assert "\n" not in text and "\x1b" not in text and len(text) < 300


def test_85_a_recipe_has_one_fingerprint_however_it_is_written():
    written = [
        fingerprint(read_recipe("pix2pix_synthetic", set=changes))
        for changes in (("networks.decoder.init_gain=1",), ("networks.decoder.init_gain=1.0", "precision=fp32"),
                        ("networks.decoder.init_gain=1", "seed=1"))
    ]  # fmt: skip
    assert written[0] == written[1] != written[2]


def test_85_a_run_of_an_older_version_resumes(quiet, run):
    forget_settings(run)
    assert train(quiet, edit(run), run / "resolved.yaml", "steps=2") == 2


def forget_settings(run):
    """Its checkpoint as versions wrote it that did not remember the recipe."""
    known = ("format", "step", "images", "ranks")
    forged(run, 1, state_json=lambda data: json.dumps({key: json.loads(data)[key] for key in known}).encode())


def test_85_an_edited_run_says_so_and_has_columns_of_its_own(run, catalog, capsys, tmp_path):
    found = []
    for folder in (run, edit(Path(shutil.copytree(run, tmp_path / "edited")))):
        translator = load(folder, catalog=catalog)
        samples = RunSamples(translator, catalog, "ab", torch.device("cpu"))
        plans = plan(catalog, choose(catalog, ["psnr"]), samples, inputs=2)
        evaluation = Evaluation(samples, plans, Tools(torch.device("cpu")))
        found += [(record, folder) for record in write_records(evaluation, evaluation.run(), folder, {})]
    difference = "networks.decoder.dropout_at_test: True when it was trained, False now"
    assert f"warning: the recipe of {tmp_path}/edited was edited after it was trained" in capsys.readouterr().err
    assert translator.edited == difference
    (first, _), (second, _) = found
    assert first.warnings == [] and [text for text in second.warnings if difference in text]
    assert first.model.weights_sha256 == second.model.weights_sha256
    assert first.model.recipe_sha256 != second.model.recipe_sha256
    assert [len(column.cells) for column in columns(found)] == [1, 1]
    assert unlike(columns(found)) == ["psnr: 2 columns, because they differ in recipe after an edit"]


def test_85_steps_of_an_edited_run_are_not_taken_again(run, catalog):
    player = Player(RunFolder(edit(run)), catalog)
    with pytest.raises(CheckpointError, match=r"was edited after it was trained: networks\.decoder\.dropout_at_test"):
        player.go_to(1, pytest.fail)


@pytest.mark.parametrize("change", ["data.timeout=7", "data.workers=1", "steps=9", "run.log_every=3", "seed=1"])
def test_85_a_study_and_a_run_agree_on_what_changes_no_number(run, quiet, tmp_path, change):
    recipe = read_recipe("pix2pix_synthetic", set=[*SMALL, change])
    shutil.copytree(run, tmp_path / "study/full/seed-0")
    for ask in (
        lambda: write_recipes([Variant("full", "pix2pix_synthetic", (), (), 0, recipe)], tmp_path / "study"),
        lambda: RunFolder(run).remember(recipe, "pix2pix_synthetic", quiet, "cpu"),
    ):
        with pytest.raises(CheckpointError, match="seed: 0 there, 1 here") if change == "seed=1" else nullcontext():
            ask()


# ---- 106: an option that the new component does not have -----------------------------------------------------------


def derived(folder, text, vocabulary, *changes):
    file = folder / "mine.yaml"
    file.write_text(text)
    return read_recipe(file, set=changes, vocabulary=vocabulary)


def test_106_options_that_the_new_component_lacks_are_left_out(tmp_path, vocabulary):
    """What it has too stays; where the rest was written is told."""
    recipe = derived(tmp_path, "base: pix2pix_synthetic\ndata: {use: paired_folders, root: photos}\n", vocabulary)
    options = {"root": "photos", "size": 64, "batch": 4, "workers": 1}
    assert recipe.data.use == "paired_folders" and recipe.to_data()["data"] == {"use": "paired_folders", **options}
    assert len(recipe.left_out) == 1
    assert re.fullmatch(r"data\.paired \(.*pix2pix_synthetic\.yaml:5:\d+\): paired_folders has no such option",
                        recipe.left_out[0])  # fmt: skip


@pytest.mark.parametrize("removed", ["paired: ~", "paired: ~, direction: ~, nothing: ~"])
def test_106_a_recipe_that_removes_them_itself_is_the_same(tmp_path, vocabulary, removed):
    whole = "base: pix2pix_synthetic\ndata: {use: paired_folders, root: photos}\n"
    short, long = (derived(tmp_path, text, vocabulary) for text in (whole, whole.replace("}", f", {removed}}}")))
    assert (short.to_yaml(), long.left_out) == (long.to_yaml(), ())


def test_106_networks_domains_and_optimizers_alike(tmp_path, vocabulary):
    base = """
        base: cyclegan_synthetic
        networks:
          encoder: {per: {a: {blocks: 2}, b: {}}}
        optimizers: {discriminator: {roles: [discriminator], lr: 1.0e-4, amsgrad: true, weight_decay: 0.5}}
        """
    (tmp_path / "base.yaml").write_text(textwrap.dedent(base))
    text = """
        base: base.yaml
        networks:
          encoder: {use: unet, levels: 4}
          decoder: {use: unet, levels: 4}
        """
    recipe = derived(
        tmp_path, textwrap.dedent(text), vocabulary,
        "optimizers.discriminator.use=sgd", "optimizers.discriminator.amsgrad=~",
    )  # fmt: skip
    assert recipe.networks["encoder"].options == {"width": 16, "levels": 4}
    assert recipe.networks["encoder"].per == {"a": {}, "b": {}}
    assert recipe.optimizers["discriminator"].options == {"weight_decay": 0.5}
    assert sorted(text.partition(" ")[0] for text in recipe.left_out) == [
        "networks.decoder.upsamples", "networks.encoder.blocks", "networks.encoder.downsamples",
        "networks.encoder.per.a.blocks",
    ]  # fmt: skip


def test_106_an_option_that_one_domain_needs_stays(tmp_path, vocabulary):
    """Only the network of `a` is replaced: the blocks are those of `b`."""
    text = "base: cyclegan_synthetic\nnetworks: {encoder: {use: unet, levels: 4, per: {a: {}, b: {use: resnet}}}}\n"
    with pytest.raises(RecipeError, match=r"networks\.encoder\.blocks: unet has no option 'blocks'") as caught:
        derived(tmp_path, text, vocabulary)
    assert "`blocks: ~` in mine.yaml removes it" in caught.value.message


def test_106_what_was_written_beside_the_new_component_is_a_mistake(tmp_path, vocabulary):
    text = "base: pix2pix_synthetic\ndata: {use: paired_folders, root: photos, paired: true}\n"
    with pytest.raises(RecipeError, match=r"mine\.yaml:2:\d+: data\.paired: paired_folders has no option 'paired'"):
        derived(tmp_path, text, vocabulary)


@pytest.mark.parametrize("name", shipped_recipes())
def test_106_no_shipped_recipe_changes(name, vocabulary):
    recipe = read_recipe(name, vocabulary=vocabulary)
    assert recipe.left_out == () and recipe.to_yaml() == read_recipe(name).to_yaml()


def test_106_it_is_said(forge, tmp_path):
    (tmp_path / "mine.yaml").write_text("base: pix2pix_synthetic\ndata: {use: paired_folders, root: photos}\n")
    for words in (["check", "mine.yaml", "--no-step"], ["show", "mine.yaml"]):
        code, out, _ = forge(*words)
        assert (code, out.count("left out of the base: data.paired (")) == (0, 1)
