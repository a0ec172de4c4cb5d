import pytest
import torch

from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.translate.loading import load

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def munit(munit_run, catalog):
    return RunSamples(load(munit_run, catalog=catalog), catalog, "ab", CPU)


@pytest.fixture(scope="module")
def pix2pix(pix2pix_run, catalog):
    return RunSamples(load(pix2pix_run, catalog=catalog), catalog, "ab", CPU)


def images(samples, draws, batch=4, seed=0, share=(0, 1)):
    """(input, draw) -> image."""
    found = {}
    for part in samples.translations(seed, draws, batch, share):
        assert len(part) <= batch
        found |= {(n, k): image for n, k, image in zip(part.inputs, part.draws, part.images, strict=True)}
    return found


def test_what_a_run_offers(munit, pix2pix):
    assert (munit.inputs, munit.is_deterministic, munit.has) == (3, False, {"sources"})
    assert (pix2pix.inputs, pix2pix.is_deterministic, pix2pix.has) == (3, True, {"sources", "truths"})
    assert munit.model["weights_sha256"] and munit.model["step"] == 1
    assert munit.model["weights_sha256"] != pix2pix.model["weights_sha256"]


def test_translations_are_the_runs(munit):
    found = images(munit, [2, 2, 1])
    assert set(found) == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)}
    x = munit.source.example(1, None)["a"][None]
    again = munit.translator.translate(x, "ab", random_style=munit._code(0, 1, 1))
    assert torch.allclose(found[1, 1], again[0], atol=1e-6)
    assert not torch.allclose(found[1, 0], found[1, 1], atol=1e-3)
    assert found[0, 0].abs().max() <= 1


def test_noise_depends_on_seed_input_and_draw_alone(munit):
    found = images(munit, [3, 3, 3])
    for other in (
        images(munit, [3, 3, 3], batch=1),
        images(munit, [2, 1, 1]),
        images(munit, [3, 3, 3], share=(1, 2)),
    ):
        assert other
        for key, image in other.items():
            assert torch.allclose(image, found[key], atol=1e-5), key
    assert not torch.allclose(images(munit, [1], seed=1)[0, 0], found[0, 0], atol=1e-3)
    codes = [munit._code(0, n, k) for n in range(2) for k in range(2)]
    assert len({tuple(code.flatten().tolist()) for code in codes}) == 4


def test_ranks_take_every_second_input(munit):
    assert {n for n, _ in images(munit, [1, 1, 1], share=(0, 2))} == {0, 2}
    assert {n for n, _ in images(munit, [1, 1, 1], share=(1, 2))} == {1}


def test_sources_and_truths_lie_beside_the_translations(pix2pix):
    (part,) = pix2pix.translations(0, [1, 1, 1], 8)
    pair = pix2pix.dataset.sources("test")[0].example(2, None)
    assert torch.equal(part.sources[2], pair["a"])
    assert torch.equal(part.truths[2], pair["b"])
    (real,) = pix2pix.real("test", 2, 8)
    assert torch.equal(real.images[1], pix2pix.dataset.sources("test")[0].example(1, None)["b"])


def test_real_images_are_of_the_domain_that_is_entered(munit, munit_run, catalog):
    (real,) = munit.real("test", 9, 8)
    assert len(real) == munit.real_count("test") == 3
    assert torch.equal(real.images[0], munit.dataset.sources("test")[1].example(0, None)["b"])
    assert munit.real_count("train") > 3
    back = RunSamples(load(munit_run, catalog=catalog), catalog, "ba", CPU)
    (drawings,) = back.real("test", 1, 8)
    assert torch.equal(drawings.images[0], munit.dataset.sources("test")[0].example(0, None)["a"])


def test_what_was_read_is_remembered(munit):
    images(munit, [1, 1, 1])
    list(munit.real("test", 2, 8))
    assert set(munit.seen["inputs"]) == {0, 1, 2}
    assert len(set(munit.seen["inputs"].values())) == 3
    assert {0, 1} <= set(munit.seen["test"])


def test_a_rank_draws_what_a_single_process_draws(munit, monkeypatch):
    alone = images(munit, [2, 2])
    monkeypatch.setattr("i2i_forge.system.distributed.rank", lambda: 1)
    monkeypatch.setattr("i2i_forge.system.distributed.world_size", lambda: 2)
    for key, image in images(munit, [2, 2], share=(1, 2)).items():
        assert torch.allclose(image, alone[key], atol=1e-6)
