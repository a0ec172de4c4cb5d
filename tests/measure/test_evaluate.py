import pytest
import torch
from forked import on_ranks
from toys import Noise, catalog

from i2i_forge.errors import DataError
from i2i_forge.measure import Outcome, Tools
from i2i_forge.measure.evaluate import Evaluation, over_seeds
from i2i_forge.measure.plans import choose, plan


def evaluation(samples, metrics=("brightness", "distance"), **options):
    plans = plan(catalog(), choose(catalog(), metrics), samples)
    return Evaluation(samples, plans, Tools(torch.device("cpu")), **options)


def outcomes(samples, metrics=("brightness", "distance"), **options):
    return [outcome for found in evaluation(samples, metrics, **options).run() for outcome in found]


def test_values_are_those_of_the_images():
    samples = Noise()
    brightness, distance = outcomes(samples)
    made = torch.stack([torch.stack([samples.image(0, n, k) for k in range(2)]) for n in range(3)])
    assert brightness.value == pytest.approx(float(made.mean()), abs=1e-7)
    assert brightness.per_input[1] == pytest.approx(float(made[1].mean()), abs=1e-7)
    first = torch.stack([samples.image(0, n, 0) for n in range(4)]).mean((0, 2, 3))
    real = torch.stack([samples.image(7, 7, n) for n in range(4)]).mean((0, 2, 3))
    assert distance.value == pytest.approx(float((first - real).norm()), rel=1e-5)
    assert distance.real == 4


def test_every_translation_is_made_once_and_none_in_vain():
    samples = Noise()
    outcomes(samples)
    assert samples.made == 3 * 2 + 1  # distance takes the first translation of a fourth input


def test_features_are_computed_once_for_metrics_that_see_the_same():
    found = evaluation(Noise(), ("distance",), seeds=(0, 1))
    backbone = found.metrics[0][0].backbone
    assert found.metrics[1][0].backbone is backbone
    found.run()
    assert backbone.images == 4 * 2 + 4  # the real images once for both seeds


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_the_batch_size_changes_nothing(batch):
    for one, other in zip(outcomes(Noise()), outcomes(Noise(), batch=batch), strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-6)


def test_a_deterministic_method_is_asked_once_for_each_input():
    samples = Noise(is_deterministic=True)
    outcomes(samples, ("brightness",))
    assert samples.made == 3


def test_seeds_are_averaged_and_kept():
    single = [outcomes(Noise(), ("brightness",), seeds=(seed,))[0] for seed in (0, 1)]
    (both,) = outcomes(Noise(), ("brightness",), seeds=(0, 1))
    assert both.per_seed == tuple(one.value for one in single)
    assert both.value == pytest.approx(sum(both.per_seed) / 2)
    assert both.components["seed_std"] == pytest.approx(torch.tensor(both.per_seed, dtype=torch.float64).std().item())
    assert both.per_input[0] == pytest.approx((single[0].per_input[0] + single[1].per_input[0]) / 2)
    assert both.ci95[0] <= both.value <= both.ci95[1]


def test_one_seed_is_left_as_it_is():
    outcome = Outcome(1.0, components={"a": 2.0})
    assert over_seeds([outcome]) is outcome


def test_progress_ends_at_its_total():
    calls = []
    evaluation(Noise()).run(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (11, 11)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


class TwoSizes(Noise):
    def image(self, *key):
        self.size = (8, 6) if key[-2:] != (1, 0) else (6, 8)
        return super().image(*key)


def test_images_of_different_sizes_are_refused():
    with pytest.raises(DataError, match="images differ in size: input 1 is 8x6, others are 6x8"):
        outcomes(TwoSizes(), ("brightness",))


def test_a_real_image_among_the_translations_is_refused():
    samples = Noise()
    samples.seen["translations"][2, 0] = "abc"
    samples.seen["test"][99] = "abc"
    with pytest.raises(DataError, match="1 translations are pixel for pixel one of the real images"):
        outcomes(samples)


def work(rank, folder):
    samples = Noise(inputs=7)
    running = evaluation(samples, seeds=(0, 1), batch=2)
    torch.save([[vars(o) for o in found] for found in running.run()], f"{folder}/{rank}.pt")
    torch.save([samples.made, samples.seen, running.size], f"{folder}/seen-{rank}.pt")


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_work_and_agree_with_one(ranks, tmp_path):
    alone = Noise(inputs=7)
    expected = evaluation(alone, seeds=(0, 1)).run()
    on_ranks(work, ranks, str(tmp_path))
    found = torch.load(tmp_path / "0.pt")
    assert torch.load(tmp_path / "1.pt") == []
    for one, other in zip(expected, found, strict=True):
        assert other[0]["value"] == pytest.approx(one[0].value, rel=1e-12)
        assert other[0]["per_input"] == one[0].per_input
    made = [torch.load(tmp_path / f"seen-{rank}.pt")[0] for rank in range(ranks)]
    assert sum(made) == alone.made
    _, seen, size = torch.load(tmp_path / "seen-0.pt")
    assert seen == alone.seen
    assert size == [8, 6]


def test_a_translation_that_is_not_finite_is_refused():
    class Broken(Noise):
        def image(self, *key):
            return super().image(*key) * (float("nan") if key[1:] == (1, 1) else 1)

    with pytest.raises(DataError, match="the translation of input 1 is not finite"):
        outcomes(Broken(), ("brightness",))
