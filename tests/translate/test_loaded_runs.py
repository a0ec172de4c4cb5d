"""What of a run follows it into translating: averaged weights do, settings of training and damage do not."""

import shutil

import pytest
import torch
from loaded import CATALOG, HOST, QUIET
from pictures import picture
from shrink import TINY_MUNIT

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.loop import Run
from i2i_forge.translate.loading import load


def recipe(*changes):
    settings = ("data.count=20", "data.test_count=1", "data.batch=1", "data.workers=0", *TINY_MUNIT)
    return read_recipe("munit_synthetic", set=[*settings, *changes])


def a_run(folder, *changes):
    return Run(recipe(*changes), QUIET, folder)


def save(run, told):
    """As if it had taken a step, with the recipe that its folder tells."""
    run.folder.prepare()
    run.folder.remember(told, "tiny", HOST, "none")
    run.save(1)


# ---- averaged weights ------------------------------------------------------------------------------------------


def test_a_run_with_averages_translates_with_them(tmp_path):
    run = a_run(tmp_path, "steps=3", "ema={roles: [decoder], half_life: 4, rampup: 1}")
    run.train()
    x, style = picture(64, 64), torch.ones(1, 8)
    averaged, last = (load(tmp_path, catalog=CATALOG, averaged=choice) for choice in (True, False))
    found = averaged.translate(x, random_style=style)
    assert torch.equal(found, run.trainer.translate(x, random_style=style).clamp(-1, 1))
    assert not torch.equal(found, last.translate(x, random_style=style))
    found = run.trainer.alike(ema=None).translate(x, random_style=style)
    assert torch.equal(last.translate(x, random_style=style), found.clamp(-1, 1))
    assert averaged.weights_sha256 != last.weights_sha256


# ---- settings of training, which translating does without --------------------------------------------------------


def test_ranks_that_cannot_share_the_batch_translate_all_the_same(munit_run, monkeypatch):
    monkeypatch.setattr("i2i_forge.system.distributed.world_size", lambda: 3)
    assert load(munit_run, catalog=CATALOG).trainer.parts == 1


def test_a_run_in_parts_on_several_ranks_is_loaded_by_one(tmp_path, monkeypatch):
    with monkeypatch.context() as ranks:
        ranks.setattr("i2i_forge.system.distributed.world_size", lambda: 3)
        trainer = build_trainer(recipe("data.batch=18", "run.micro_batch=4"), CATALOG)
    assert trainer.parts == 2  # of the six images of a rank; one process has no five equal parts of eighteen
    save(a_run(tmp_path, "data.batch=18", "run.micro_batch=9"), recipe("data.batch=18", "run.micro_batch=4"))
    assert load(tmp_path, catalog=CATALOG).trainer.parts == 1


def test_nothing_is_compiled(tmp_path, monkeypatch):
    run = a_run(tmp_path, "run.compile=[decoder]")
    save(run, run.recipe)
    monkeypatch.setattr("i2i_forge.engine.build.compiled", lambda network: pytest.fail("compiled"))
    load(tmp_path, catalog=CATALOG)


# ---- checkpoints ---------------------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_warns_and_the_one_before_is_used(munit_run, tmp_path, capsys):
    folder = shutil.copytree(munit_run, tmp_path / "run") / "checkpoints"
    shutil.copytree(folder / "step-00000001", folder / "step-00000002", ignore=lambda *_: {"state.json"})
    assert load(tmp_path / "run", catalog=CATALOG).step == 1
    assert "warning: checkpoint step-00000002 is damaged" in capsys.readouterr().err
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError, match="has no checkpoint yet") as caught:
        load(tmp_path / "run", catalog=CATALOG)
    assert "train it first" in caught.value.fix
