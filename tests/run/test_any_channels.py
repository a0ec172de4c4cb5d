"""Every method on images of other channels than RGB: trained, resumed, translated, in tiles, exported; and refused."""

import numpy as np
import pytest
import torch
from loaded import CATALOG
from measured import OWN, folders, measured

from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import RecipeError
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run
from i2i_forge.translate import Translator
from i2i_forge.translate.export import export
from i2i_forge.translate.loading import load

COUNTS = {"2 to 4": (2, 4), "4 to 1": (4, 1), "1 to 1": (1, 1), "3 to 1": (3, 1)}
QUICK = {("pix2pix", "2 to 4"), ("cyclegan", "2 to 4"), ("munit", "4 to 1"), ("unit", "1 to 1"),
         ("bicyclegan", "3 to 1"), ("augmented_cyclegan", "2 to 4")}  # fmt: skip
CELLS = [
    pytest.param(method, *COUNTS[counts], id=f"{method} {counts}",
                 marks=() if (method, counts) in QUICK else pytest.mark.slow)
    for method in OWN for counts in COUNTS
]  # fmt: skip


@pytest.mark.parametrize(("method", "a", "b"), CELLS)
def test_a_method_trains_resumes_translates_and_exports(quiet, tmp_path, method, a, b):
    root = folders(tmp_path / "images", a, b)
    trace_recipe(measured(method, a, b, root=root), CATALOG)
    for run, stops in (("straight", (4,)), ("resumed", (2, 4))):
        for steps in stops:
            Run(measured(method, a, b, f"steps={steps}", root=root), quiet, tmp_path / run).train()
    model = "checkpoints/step-00000004/model.safetensors"
    assert (tmp_path / "straight" / model).read_bytes() == (tmp_path / "resumed" / model).read_bytes()
    translator = load(tmp_path / "resumed", catalog=CATALOG)
    for route in translator.trainer.routes:
        source, target = translator.trainer.ends(route)
        whole = translated(translator, route, len(source))
        assert whole.shape == (1, len(target), 80, 112)
    written = export(translator, tmp_path / "program.pt2")
    assert written.difference < 1e-4


def translated(translator: Translator, route: str, channels: int) -> torch.Tensor:
    """An image's translation, which is that of its tiles."""
    x = torch.rand(1, channels, 80, 112, generator=torch.Generator().manual_seed(channels)) * 2 - 1
    codes = translator.codes(route)
    given = {} if codes is None else {str(translator.latent(route)): codes}
    whole = translator.translate(x, route, **given)
    tiled = translator.translate_in_tiles(x, route, tile=64, **given)
    assert (tiled - whole).abs().max() < 1e-5
    return whole


def test_with_a_mask_workers_and_a_stop_change_nothing(quiet, tmp_path):
    """pix2pix 1 to 1 on cases, its distance within a mask."""
    root, digests = folders(tmp_path / "images", 1, 1), []
    (root / "mask").mkdir()
    for number in range(4):
        np.save(root / "mask" / f"{number}.npy", np.eye(64, k=number, dtype=np.uint8))
    files = "{a: 'trainA/{case}.npy', b: 'trainB/{case}.npy', mask: 'mask/{case}.npy'}"
    for name, workers, stops in (("0", 0, (4,)), ("2", 2, (4,)), ("stopped", 2, (2, 4))):
        data = f"data={{use: cases, root: {root}, files: {files}, size: 64, batch: 2, workers: {workers}}}"
        for steps in stops:
            masked = "phases.generator.minimize.image=100 * masked_l1(translation, target, mask)"
            changes = ("data=~", data, "domains.mask={kind: labels}", masked, f"steps={steps}")
            run = Run(measured("pix2pix", 1, 1, *changes, root=root), quiet, tmp_path / name)
            run.train()
        digests.append(checkpoint.digest(run.trainer))
    assert len(set(digests)) == 1


UNET = tuple(f"networks.{role}={value}" for role in ("encoder", "decoder")
             for value in ("~", "{use: unet, per: [a, b], width: 4, levels: 4}"))  # fmt: skip
PAIR = "networks.discriminator.channels=pair"
REFUSED = {
    "an encoder of fewer": ("pix2pix", 4, 2, (PAIR, "networks.encoder.channels=2"),
                            r"networks\.encoder\.channels: 2, and of its images a has 4\n.*encoder\.channels=~"),
    "one image for a pair": ("pix2pix", 2, 4, ("networks.discriminator.channels=4",),
                             r"real_pair_logits feeds a beside b \(6 channels\) to the discriminator \(4\)\n.*=pair"),
    "a number of nothing": ("pix2pix", 2, 4, ("networks.discriminator.channels=5",),
                            r"networks\.discriminator\.channels: 5, and of its images b has 4\n.*=pair for pairs \(6"),
    "a shared encoder": ("munit", 2, 4, ("networks.content_encoder.per=~",),
                         r"networks\.content_encoder: a has 2, b has 4 channels, and they share it\n.*per=\[a, b\]"),
    "a shared discriminator": ("cyclegan", 2, 4, ("networks.discriminator.per=~",),
                               r"networks\.discriminator: b has 4, a has 2 channels, and they share it"),
    "identity": ("cyclegan", 2, 4, (), r"identity feeds b \(4 channels\) to the encoder of a \(2\)\n.*"
                                       r"--drop generator\.identity"),
    "identity the other way": ("cyclegan", 1, 3, (), r"identity feeds a \(1 channel\) to the encoder of b \(3\)"),
    "identity, and four could be a pair in grey": ("cyclegan", 2, 4, UNET, r"identity feeds b \(4 channels\) to the "
                                                                           r"encoder of a \(2\)"),
    "the counterpart of a code": ("augmented_cyclegan", 2, 4, ("networks.code_encoder.channels=3",),
                                  r"networks\.code_encoder\.channels: 3, and it sees b \(4\) beside a \(2\)"),
    "colours": ("munit", 2, 4, ("networks.discriminator.augment=[color, cutout]",),
                r"augment: `color` changes RGB, and the discriminator sees 4 channels\n.*augment: \[cutout\]"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "a", "b", "changes", "says"), REFUSED.values(), ids=REFUSED)
def test_channels_that_do_not_fit_are_refused_without_data(method, a, b, changes, says):
    recipe = measured(method, a, b, *changes, drop=())
    with pytest.raises(RecipeError, match=says):
        trace_recipe(recipe, CATALOG)


def test_rgb_beside_a_measured_domain_may_be_seen_in_grey():
    grey = ("domains.a=~", "networks.discriminator.channels=2", "networks.encoder.channels=1")
    traced = trace_recipe(measured("pix2pix", 3, 1, *grey), CATALOG)
    assert {shape for (_, _, name), shape in traced.shapes.items() if name == "real_pair"} == {"2x4x64x64"}
