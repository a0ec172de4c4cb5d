"""Under no protocol of any metric of ours do batches, order, ranks or autocast change a number."""

import pickle
from dataclasses import replace

import pytest
import torch

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.measure import Tools
from i2i_forge.measure.mode_classifier import random_classifier
from i2i_forge.testing.metrics import DRAWS, INPUTS, show

METRICS = load_plugins().catalog.metrics
NAMES = [name for name in METRICS if name != "is-tf"]  # random Inception takes minutes; test_inception.py has it


@pytest.fixture(scope="module")
def tools():
    return {name: Tools(torch.device("cpu"), name, random_classifier(8)) for name in ("classifier", "random", "")}


@pytest.mark.parametrize(
    ("name", "protocol"), [(name, protocol) for name in NAMES for protocol in METRICS.get(name).protocols],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_batches_order_ranks_and_autocast_do_not_matter(name, protocol, tools):
    kind = METRICS.get(name)
    lent = tools[next((each for each in ("classifier", "random") if each in kind.backbones), "")]
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
    expected = pytest.approx(plain, rel=1e-4, abs=1e-6)  # convolutions round differently in other batches
    order = torch.randperm(INPUTS, generator=torch.Generator().manual_seed(0)).tolist()
    assert numbers(show(kind(small, lent), order, 5)) == expected
    one, other = (show(kind(small, lent), range(rank, INPUTS, 2), 1) for rank in range(2))
    one.merge(pickle.loads(pickle.dumps(other.state())))
    assert numbers(one) == expected
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert numbers(show(kind(small, lent), range(INPUTS), 8)) == plain


def test_all_are_registered():
    assert set(NAMES) == {
        "cis", "fid", "fid-clean", "is", "kid", "lpips-diversity", "lpips-paired", "mode-coverage", "ndb", "prdc",
        "psnr", "ssim", "structure",
    }  # fmt: skip
