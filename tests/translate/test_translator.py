"""Translations of tensors: any size, many styles, codes."""

import pytest
import torch
from pictures import picture
from torch.nn import functional as F

from i2i_forge.errors import UsageError
from i2i_forge.run import checkpoint

SIZES = [(61, 97), (40, 40), (300, 64), (1, 1), (64, 64), (7, 130)]  # height, width


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("route", ["ab", "ba"])
def test_any_size_comes_back_as_it_went_in(translator, height, width, route):
    y = translator.translate(picture(height, width), route)
    assert y.shape == (1, 3, height, width)
    assert y.isfinite().all() and y.abs().max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (68, 100), (128, 64)])
def test_a_size_the_networks_take_is_not_touched(translator, height, width):
    x, style = picture(height, width), torch.ones(1, 8)
    y = translator.translate(x, random_style=style)
    assert torch.equal(y, translator.trainer.translate(x, "ab", random_style=style).clamp(-1, 1))


def test_other_sizes_are_continued_at_the_border_and_cut_out_again(translator):
    x, style = picture(61, 97), torch.ones(1, 8)
    padded = F.pad(x, (1, 2, 1, 2), mode="replicate")  # to 64 x 100
    expected = translator.trainer.translate(padded, "ab", random_style=style)[..., 1:62, 1:98]
    assert torch.equal(translator.translate(x, random_style=style), expected.clamp(-1, 1))


@pytest.mark.parametrize("batch", [None, 1, 2, 5])
def test_many_styles_encode_once_and_are_those_of_each_alone(translator, batch):
    x, styles, calls = picture(61, 97), torch.randn(5, 8), []
    encoder = translator.trainer.networks["content_encoder"]["a"]
    hook = encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    list(translator.translations(x, "ab", styles, batch=1))  # the first time a pass without data shows what is shared
    calls.clear()
    images = list(translator.translations(x, "ab", styles, batch=batch))
    assert len(images) == 5 and len(calls) == 1
    hook.remove()
    for image, style in zip(images, styles, strict=True):
        torch.testing.assert_close(image, translator.translate(x, random_style=style[None])[0], rtol=0, atol=1e-5)


def test_translations_are_made_when_they_are_asked_for(translator):
    calls = []
    hook = translator.trainer.networks["decoder"]["b"].register_forward_hook(lambda *_: calls.append(1))
    images = translator.translations(picture(64, 64), "ab", torch.randn(4, 8), batch=1)
    next(images), calls.clear()
    next(images)
    hook.remove()
    assert len(calls) == 1


def test_codes_do_not_depend_on_training_mode_or_calls_before(translator):
    x = picture(50, 50)
    first = translator.encode(x, "style", "b")
    assert first.shape == (1, 8)
    translator.translate(x)
    assert translator.encode(x, "style", "b").equal(first)
    assert not translator.encode(x, "style", "a").equal(first)


def test_a_missing_batch_axis_is_explained(translator):
    with pytest.raises(UsageError, match=r"images are N,3,H,W, these are \(3, 64, 64\)") as caught:
        translator.translate(picture(64, 64)[0])
    assert "x[None]" in caught.value.fix


def test_loading_gives_the_weights_of_the_newest_checkpoint(translator, munit_run):
    found = checkpoint.newest(munit_run / "checkpoints", pytest.fail)
    assert translator.step == found.step == 1
    assert translator.recipe.name == "munit_synthetic"
    assert all(v.equal(found.model[n]) for n, v in translator.trainer.state_dict().items())
