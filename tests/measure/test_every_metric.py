"""Under no protocol of any metric of ours do batches, order, ranks or autocast change a number."""

import pickle
from dataclasses import replace

import pytest
import torch
from loaded import CATALOG

from i2i_forge.measure import BackboneInfo, Tools
from i2i_forge.measure.mode_classifier import random_classifier
from i2i_forge.testing.metrics import DRAWS, INPUTS, show

METRICS = CATALOG.metrics
NAMES = [name for name in METRICS if name != "is-tf"]  # random Inception takes minutes; test_inception.py has it


class Corner:
    """A classifier that reads logits and features off an image: batches round nothing, as convolutions do."""

    info, modes, card = BackboneInfo("classifier-corner", "1", "0"), tuple("abcdefgh"), {"accuracy": 0.97}

    def __call__(self, images):
        return images[:, 0, 0, :8].double() * 3

    def penultimate(self, images):
        return images[:, 1, 0, :8]

    def seen(self, images):
        return [False] * len(images)


CPU = torch.device("cpu")
ROUNDS = {"lpips-diversity": 1e-6, "lpips-paired": 1e-5, "ssim": 1e-6}  # convolutions, in other batches


@pytest.mark.parametrize(
    ("name", "protocol"), [(name, protocol) for name in NAMES for protocol in METRICS.get(name).protocols],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_batches_order_ranks_and_autocast_do_not_matter(name, protocol):
    kind = METRICS.get(name)
    backbone = next((each for each in ("classifier", "random") if each in kind.backbones), "")
    lent = Tools(CPU, backbone, Corner())
    small = replace(protocol, inputs=INPUTS, draws=min(DRAWS, protocol.draws))

    def numbers(shown):
        return {
            (outcome.metric, key): value
            for outcome in shown.compute()
            for key, value in {
                "value": outcome.value, "se": outcome.se, "pairs": outcome.pairs, "real": outcome.real,
                **outcome.components, **(outcome.per_input or {}),
            }.items()
            if value is not None
        }  # fmt: skip

    plain = numbers(show(kind(small, lent), range(INPUTS), 8))
    expected = pytest.approx(plain, rel=ROUNDS.get(name, 1e-10), abs=1e-12)
    order = torch.randperm(INPUTS, generator=torch.Generator().manual_seed(0)).tolist()
    assert numbers(show(kind(small, lent), order, 5)) == expected
    one, other = (show(kind(small, lent), range(rank, INPUTS, 2), 1) for rank in range(2))
    one.merge(pickle.loads(pickle.dumps(other.state())))
    assert numbers(one) == expected
    assert all(list(o.per_input or ()) == sorted(o.per_input or ()) for o in one.compute())
    lent = Tools(CPU, backbone, random_classifier(8))  # whose convolutions autocast would reach
    plain = numbers(show(kind(small, lent), range(INPUTS), 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert numbers(show(kind(small, lent), range(INPUTS), 8)) == plain


def test_all_are_registered():
    assert set(NAMES) == {
        "cis", "fid", "fid-clean", "is", "kid", "lpips-diversity", "lpips-paired", "mae", "mode-coverage", "ndb",
        "pearson", "prdc", "psnr", "rmse", "ssim", "structure",
    }  # fmt: skip
