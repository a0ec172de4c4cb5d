"""translate, encode, infer: evaluation mode, no gradients, chosen or drawn codes."""

import pytest
import torch
import toy
from loaded import CATALOG, FORMATS
from shrink import small

from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.foreign import load_foreign

TINY = small(content_encoder="blocks=1", style_encoder="", decoder="blocks=2 mlp_dim=8", discriminator="")


def munit(dtype: torch.dtype = torch.float32) -> Trainer:
    return build_trainer(read_recipe("munit_edge2shoes", set=TINY), CATALOG, dtype=dtype)


def noisy_networks() -> dict[str, object]:
    encoder = {"use": "conv", "per": ["a", "b"], "dropout": 0.5, "batch_norm": True}
    return toy.recipe().to_data()["networks"] | {"encoder": encoder}


def test_inference_is_in_eval_mode_without_gradients_and_changes_nothing() -> None:
    trainer = toy.build(networks=noisy_networks())
    trainer.step(toy.images(), 0)
    before, x = toy.weights(trainer), toy.images()["a"]
    one = trainer.translate(x, "ab", generator=torch.Generator().manual_seed(1))
    assert not one.requires_grad
    assert not any(module.training for _, module in trainer.modules())
    assert torch.equal(one, trainer.translate(x, "ab", generator=torch.Generator().manual_seed(1)))
    assert toy.changed(trainer, before) == set()
    single = trainer.translate(x[:1], "ab", code=torch.zeros(1, 2))
    assert torch.allclose(trainer.translate(x, "ab", code=torch.zeros(2, 2))[:1], single, atol=1e-6)


def test_draws_come_from_the_generator_and_without_one_are_always_the_same() -> None:
    trainer, x = toy.build(), toy.images()["a"]
    assert torch.equal(trainer.translate(x), trainer.translate(x))
    draws = torch.Generator().manual_seed(1)
    first, second = (trainer.translate(x, generator=draws) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, trainer.translate(x))
    code = torch.randn(2, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, trainer.translate(x, code=code))


def test_a_code_of_an_image_can_be_given_back() -> None:
    trainer = munit()
    images = toy.images(1, size=64)
    style = trainer.encode(images["b"], "style", "b")
    content = trainer.encode(images["a"], "content", "a")
    assert style.shape == (1, 8)
    assert content.shape == (1, 16, 16, 16)
    guided = trainer.translate(images["a"], "ab", random_style=style)
    assert torch.equal(guided, trainer.translate(images["a"], "ab", random_style=style[:, :, None, None]))
    with torch.no_grad():
        assert torch.equal(guided, trainer.networks["decoder"]["b"](content, style))
    # any tensor can be given: the content of the one, the style of the other
    assert torch.equal(guided, trainer.infer("translation", {}, "ab", content=content, random_style=style))
    assert torch.equal(
        trainer.encode(images["a"], "reconstruction", "a"), trainer.infer("reconstruction", images, "ab")
    )


def test_the_trainer_of_a_phase_called_translate_is_no_special_case() -> None:
    phases = {
        "critic": {"trains": ["critic"], "minimize": {"x": "1 * size(fake_logits)"}},
        "translate": {**toy.PLAYERS["translator"], "reuse": {"fake_logits": "critic"}, "stream": "main"},
    }
    phases["translate"]["minimize"] = {"x": "1 * size(content)"}
    trainer = toy.build(phases)
    plain = toy.build()
    x = toy.images()["a"]
    assert torch.equal(trainer.infer("fake_logits", toy.images(), "ab"), plain.infer("fake_logits", toy.images(), "ab"))
    assert torch.equal(trainer.translate(x), plain.translate(x))


def test_one_content_with_many_styles_is_decoded_at_once() -> None:
    trainer = munit(torch.float64)
    x = toy.images(1, size=64)["a"]
    styles = torch.randn(5, 8, generator=torch.Generator().manual_seed(2))
    calls = []
    trainer.networks["content_encoder"]["a"].register_forward_pre_hook(
        lambda module, inputs: calls.append(len(inputs[0]))
    )
    together = trainer.translate(x, "ab", random_style=styles)
    assert calls == [1]
    assert together.shape == (5, 3, 64, 64)
    for index in range(5):
        alone = trainer.translate(x, "ab", random_style=styles[index : index + 1])
        assert torch.allclose(together[index], alone[0], rtol=0, atol=1e-12)
    assert (together[0] - together[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, x: t.translate(x, "ac"), r"there is no route 'ac'\nfix: there is: ab, ba"),
        (lambda t, x: t.infer("translaton", {"a": x}, "ab"), "Toy has no tensor 'translaton'\nfix: did you mean 'tran"),
        (lambda t, x: t.translate(x, "ab", cod=x), "has no tensor 'cod'\nfix: did you mean 'code'"),
        (lambda t, x: t.encode(x, "content", "c"), "no route that passes domain 'c' has a tensor 'content'"),
        (lambda t, x: t.encode(x, "target", "a"), "route 'ab' needs images 'b'"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_is_there(call: object, message: str) -> None:
    trainer = toy.build()
    with pytest.raises(UsageError, match=message):
        call(trainer, toy.images()["a"])  # type: ignore[operator]


def test_state_is_not_loaded_when_a_foreign_part_is_unknown() -> None:
    trainer = munit()
    with pytest.raises(UsageError, match="nvlabs-munit has no part 'generator'"):
        load_foreign(trainer, {"generator": "gen.pt"}, "nvlabs-munit", FORMATS)
