"""Batches: features are computed once, parts are what they say, and numbers do not depend on the surroundings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from i2i_forge.measure import BackboneInfo, Batch, exact

OPERATIONS = (
    torch.backends.cuda.matmul,
    torch.backends.cudnn.conv,
    torch.backends.cudnn.rnn,
    torch.backends.mkldnn.matmul,
    torch.backends.mkldnn.conv,
    torch.backends.mkldnn.rnn,
)


class Network(nn.Module):
    """A convolution that counts its calls."""

    def __init__(self, name: str = "small") -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.info = BackboneInfo(id=name, version="1", weights_sha256="0" * 64)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.conv(images).flatten(1) @ torch.ones(8 * 36, 4)


def batch(inputs: int = 3, draws: int = 2, *, full: bool = True) -> Batch:
    numbers = [n for n in range(inputs) for _ in range(draws)]
    images = torch.randn(3 * len(numbers), 3, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    one, two, three = images.chunk(3)
    ks = [k for _ in range(inputs) for k in range(draws)]
    return Batch(one, numbers, ks, [f"{n}.png" for n in numbers], two if full else None, three if full else None)


@pytest.fixture
def settings() -> Iterator[None]:
    """How exactly products are computed is left as it was."""
    before = [operation.fp32_precision for operation in OPERATIONS]
    overall = torch.backends.fp32_precision
    yield
    torch.backends.fp32_precision = overall
    torch.set_float32_matmul_precision("highest")
    for operation, value in zip(OPERATIONS, before, strict=True):
        operation.fp32_precision = value


# ---- features --------------------------------------------------------------------------------------------------


def test_features_are_computed_once_for_each_network_and_kind_of_image() -> None:
    torch.manual_seed(0)
    images, network, other = batch(), Network(), Network("other")
    features = images.features(network)
    assert images.features(network) is features
    assert images.features_of_truths(network) is images.features_of_truths(network)
    assert network.calls == 2
    assert not torch.equal(images.features_of_truths(network), features)
    assert not torch.equal(images.features(other), features) and other.calls == 1
    assert torch.equal(features, network(images.images))


def test_features_need_no_gradients() -> None:
    assert not batch().features(Network()).requires_grad


# ---- parts -----------------------------------------------------------------------------------------------------


def test_a_part_has_the_first_draws_of_the_first_inputs_and_all_that_belongs_to_them() -> None:
    whole = batch(inputs=3, draws=4)
    part = whole.first(2, 3)
    kept = [0, 1, 2, 4, 5, 6]
    assert part.inputs == [0, 0, 0, 1, 1, 1] and part.draws == [0, 1, 2, 0, 1, 2]
    assert part.names == [whole.names[i] for i in kept] and len(part) == 6
    for name in ("images", "sources", "truths"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[kept])


def test_a_part_is_made_once_and_the_whole_is_its_own_part() -> None:
    whole = batch()
    assert whole.first(2, 1) is whole.first(2, 1)
    assert whole.first(3, 2) is whole and whole.first(100, 100) is whole
    assert whole.first(2, 1) is not whole.first(1, 2)


def test_a_part_does_not_show_the_features_of_the_whole() -> None:
    torch.manual_seed(0)
    whole, network = batch(), Network()
    whole.features(network)
    part = whole.first(1, 1)
    assert part.features(network).shape[0] == 1
    assert torch.allclose(part.features(network), whole.features(network)[:1], atol=1e-5)


def test_what_is_unknown_stays_unknown_and_a_part_may_be_empty() -> None:
    part = batch(full=False).first(1, 1)
    assert part.sources is None and part.truths is None
    none = batch().first(0, 2)
    assert len(none) == 0 and none.images.shape == (0, 3, 8, 8)


# ---- exact -----------------------------------------------------------------------------------------------------


def test_numbers_are_the_same_inside_autocast() -> None:
    torch.manual_seed(0)
    network, expected = Network(), None
    for surrounded in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=surrounded):
            plain = network(batch().images)
            assert plain.dtype == (torch.bfloat16 if surrounded else torch.float32)
            features = batch().features(network)
            assert torch.is_autocast_enabled("cpu") == surrounded
        expected = features if expected is None else expected
        assert features.dtype == torch.float32 and torch.equal(features, expected)


def test_gradients_are_off_inside_and_on_again_after() -> None:
    weight = torch.ones(2, requires_grad=True)
    with exact():
        assert not (weight * 2).requires_grad
    assert (weight * 2).requires_grad


def legacy_tf32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def tf32_by_the_newer_names() -> None:
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "tf32"


def exact_convolutions_only() -> None:
    torch.backends.cudnn.conv.fp32_precision = "ieee"


def tf32_everywhere() -> None:
    torch.backends.fp32_precision = "tf32"


@pytest.mark.parametrize(
    "surroundings",
    [
        lambda: None,
        legacy_tf32,
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),  # bfloat16, on the CPU too
        tf32_by_the_newer_names,
        exact_convolutions_only,
        tf32_everywhere,
    ],
    ids=["default", "legacy", "high", "medium", "newer", "conv", "everywhere"],
)
@pytest.mark.usefixtures("settings")
def test_products_are_fp32_inside_and_as_they_were_after(surroundings: Callable[[], None]) -> None:
    surroundings()
    before = [operation.fp32_precision for operation in OPERATIONS]
    for fails in (False, True):
        try:
            with exact():
                assert {operation.fp32_precision for operation in OPERATIONS} <= {"ieee", "none"}
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert [operation.fp32_precision for operation in OPERATIONS] == before


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
def test_the_older_settings_agree_inside_and_are_as_they_were_after(asked: str) -> None:
    """Where they disagree with the newer ones torch refuses to tell them, and products on a GPU."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    torch.set_float32_matmul_precision(asked)
    with exact():
        assert (torch.get_float32_matmul_precision(), cuda.allow_tf32, cudnn.allow_tf32) == ("highest", False, False)
    assert (torch.get_float32_matmul_precision(), cuda.allow_tf32, cudnn.allow_tf32) == (
        asked,
        asked != "highest",
        True,
    )
