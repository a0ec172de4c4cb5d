"""What of a run's recipe follows it into translating: averaged weights do, settings of training do not."""

import pytest
import torch

from i2i_forge.translate.loading import load


def picture(height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


# ---- averaged weights ------------------------------------------------------------------------------------------


def test_a_run_with_averages_translates_with_them(tiny, host, tmp_path):
    run = tiny.run(tmp_path, "steps=3", "ema={roles: [decoder], half_life: 4, rampup: 1}")
    run.train()
    x, style = picture(64, 64), torch.ones(1, 8)
    averaged, last = (load(tmp_path, catalog=host.catalog, averaged=choice) for choice in (True, False))
    found = averaged.translate(x, random_style=style)
    assert torch.equal(found, run.trainer.translate(x, random_style=style).clamp(-1, 1))
    assert not torch.equal(found, last.translate(x, random_style=style))
    found = run.trainer.alike(ema=None).translate(x, random_style=style)
    assert torch.equal(last.translate(x, random_style=style), found.clamp(-1, 1))
    assert averaged.weights_sha256 != last.weights_sha256


# ---- settings of training, which translating does without --------------------------------------------------------


def test_ranks_that_cannot_share_the_batch_translate_all_the_same(straight, host, monkeypatch):
    monkeypatch.setattr("i2i_forge.system.distributed.world_size", lambda: 3)
    assert load(straight[0], catalog=host.catalog).trainer.parts == 1


def test_a_run_in_parts_on_several_ranks_is_loaded_by_one(tiny, host, tmp_path, monkeypatch):
    with monkeypatch.context() as ranks:
        ranks.setattr("i2i_forge.system.distributed.world_size", lambda: 3)
        trainer = tiny.trainer("data.batch=18", "run.micro_batch=4")
    assert trainer.parts == 2  # of the six images of a rank; one process has no five equal parts of eighteen
    run = tiny.run(tmp_path, "data.batch=18", "run.micro_batch=9")
    run.folder.prepare()
    run.folder.remember(tiny.recipe("data.batch=18", "run.micro_batch=4"), "tiny", host, "none")
    run.save(1)
    assert load(tmp_path, catalog=host.catalog).trainer.parts == 1


def test_nothing_is_compiled(tiny, host, tmp_path, monkeypatch):
    run = tiny.run(tmp_path, "run.compile=[decoder]")
    run.folder.prepare()
    run.folder.remember(run.recipe, "tiny", host, "none")
    run.save(1)
    monkeypatch.setattr("i2i_forge.engine.build.compiled", lambda network: pytest.fail("compiled"))
    load(tmp_path, catalog=host.catalog)
