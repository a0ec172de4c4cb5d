"""Steps that are taken, and are not those that were meant: 80, 81; and what a recipe calls: 82."""

import json

import pytest
import torch
from shrink import shrunk

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.catalog.registry import Catalog
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.forward_pass import ForwardPass, tensor
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.run.cautions import cautions, unread
from i2i_forge.run.loop import Run
from i2i_forge.system.precision import slow_here


class Photos:
    """A data set of noise, of other domains than a and b too, that does not say what it holds."""

    def __init__(self, names="ab", size=64, count=3, test_count=1):
        self.names, self.size, self.count = names, size, count

    def sources(self, split):
        return [self]

    def __len__(self):
        return self.count

    def example(self, index, random):
        return {
            name: torch.rand(3, self.size, self.size, generator=torch.Generator().manual_seed(index))
            for name in self.names
        }

    def name(self, index):
        return f"photo {index}"


class ToldPhotos(Photos):
    """Says it."""

    domains = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def host():
    made = load_plugins()
    made.manager.unregister(name="sample_grids")
    made.catalog.datasets.add("photos", Photos)
    made.catalog.datasets.add("told_photos", ToldPhotos)
    return made


@pytest.fixture
def catalog(host):
    return host.catalog


def warned(catalog, name, *changes):
    return cautions(read_recipe(name, set=changes), catalog)


COMPARED = "minimize.%s: '%s' compares images of %s place by place, and the data gives no pairs of them"
UNPAIRED = {
    "pix2pix": ("pix2pix_synthetic", ["data.paired=false"], ("image", "100 * l1(translation, target)", "a and b")),
    "a code of the target": (
        "bicyclegan_synthetic", ["data.paired=false"], ("image", "10 * l1(reconstruction, target)", "a and b")),
    "a term of one's own": (
        "cyclegan_horse2zebra", ["phases.generator.minimize.pair=9 * mse(target, translation)"],
        ("pair", "9 * mse(target, translation)", "b and a")),
    "activations": (
        "munit_synthetic", ["phases.generator.minimize.f=feature_matching(discriminator, translation, target)"],
        ("f", "1 * feature_matching(discriminator, translation, target)", "a and b")),
    "another stream": (
        "augmented_cyclegan_edges2shoes_supervised", ["data.paired.use=unpaired_folders"],
        ("image", "0.1 * l1(reconstruction, target)", "a and b")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "says"), UNPAIRED.values(), ids=UNPAIRED)
def test_80_a_comparison_of_images_that_are_no_pairs(catalog, name, changes, says):
    (found,) = warned(catalog, name, *changes)
    assert f"{COMPARED % says}: use pairs (as of paired_folders), or leave the term out (--drop " in found


KNOWN = {  # what a data set says before any file is read -> its options
    True: [
        ("paired_folders", {"root": "none"}), ("procedural_shoes", {"paired": True}),
        ("webdataset", {"shards": "x.tar"}),
        ("edges_of_photos", {"root": "none", "paired": True}), ("packed", {"root": "none", "paired": True}),
    ],
    False: [
        ("unpaired_folders", {"root": "none"}), ("image_lists", {"train_a": "a", "train_b": "b"}),
        ("procedural_shoes", {}), ("webdataset", {"shards": "x.tar", "paired": False}),
        ("webdataset", {"shards_a": "a.tar", "shards_b": "b.tar"}),
        ("edges_of_photos", {"root": "none"}), ("packed", {"root": "none", "paired": False}),
    ],
    None: [("packed", {"root": "none"})],  # the pack's to say
}  # fmt: skip


@pytest.mark.parametrize("known", KNOWN)
def test_80_data_sets_say_whether_they_give_pairs(catalog, known):
    for name, options in KNOWN[known]:
        assert catalog.datasets.get(name)(**options).paired is known, (name, options)


SILENT = {
    "pairs": ["phases.generator.minimize.pair=l1(translation, target)", "data.paired=true"],
    "a data set that does not say": ["phases.generator.minimize.pair=l1(translation, target)", "data.use=photos"],
    "r1": ["phases.discriminator.minimize.r1=r1(discriminator, target)"],
    "gradient penalty": ["phases.discriminator.minimize.gp=gradient_penalty(discriminator, target, translation)"],
    "codes": ["phases.generator.minimize.own=l1(style, random_style)"],
    "one domain": ["phases.generator.minimize.own=l1(reconstructed, source)"],
}


@pytest.mark.parametrize("changes", SILENT.values(), ids=SILENT)
def test_80_what_can_be_meant_is_not_warned_of(catalog, changes):
    assert warned(catalog, "munit_synthetic", *changes) == []


def test_what_does_not_repeat_on_cuda_is_named_where_repeating_is_wanted(catalog):
    changes = ["networks.discriminator.augment=[flip, translation]", "run.deterministic=true"]
    assert warned(catalog, "munit_synthetic", changes[0]) == [] == warned(catalog, "munit_synthetic", changes[1])
    assert warned(catalog, "munit_synthetic", *changes) == [
        f"run.deterministic: on CUDA the gradient of augment: translation in discriminator.{domain} is summed in no "
        "order, and no run repeats another's bits" for domain in "ab"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("device", "has", "slow"), [("cuda", False, True), ("cuda", True, False), ("meta", False, False)]
)
def test_a_gpu_without_bfloat16_is_slow(monkeypatch, device, has, slow):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has or including_emulation)
    assert slow_here(torch.device(device), "bf16") is slow
    assert not slow_here(torch.device(device), "fp32")


def test_80_check_says_it(forge):
    code, out, err = forge("check", "pix2pix_synthetic", "--set", "data.paired=false")
    assert (code, out.splitlines()[0]) == (0, "pix2pix_synthetic: no mistakes")
    assert err.startswith("warning: phases.generator.minimize.image: '100 * l1(translation, target)' compares images")
    _, out, _ = forge("check", "pix2pix_synthetic", "--set", "data.paired=false", "--json")
    assert len(json.loads(out)["warnings"]) == 1


def tiny_run(host, folder, listening, name, *changes):
    recipe = read_recipe(name, set=[*shrunk(read_recipe(name), host.catalog, "none"), *changes])
    Run(recipe, host, folder, progress=listening).train()
    return [note for note in listening.notes if note.startswith("warning: ")]


def test_80_train_says_it(host, listening, tmp_path):
    (found,) = tiny_run(host, tmp_path, listening, "pix2pix_synthetic", "data.paired=false", "steps=1")
    assert "'100 * l1(translation, target)' compares images of a and b" in found
    assert found in (tmp_path / "log.txt").read_text()


def test_80_domains_that_no_route_passes(host, catalog, listening, tmp_path):
    says = "data: images of c, d are loaded and never used: the routes of munit pass a, b alone"
    told, untold = (read_recipe("munit_synthetic", set=[f"data.use={name}"]) for name in ("told_photos", "photos"))
    assert unread(told, catalog) == [says] and unread(untold, catalog) == []
    assert tiny_run(host, tmp_path, listening, "munit_synthetic", "steps=1", "data.use=photos", "data.names=abcd") == [
        f"warning: {says}"
    ]


ENDED = {
    "linear": ("linear(1, 0, steps=2, after=1)", 3), "in stairs": ("step(4, 0)", 4), "never": ("step(4, 0.5)", None),
    "after a warm-up": ("linear(0, 1, steps=1) * linear(1, 0, steps=3, after=2)", 5), "from the first": ("0", 0),
    "at the very end": ("linear(1, 0, steps=6)", None),
}  # fmt: skip


@pytest.mark.parametrize(("schedule", "first"), ENDED.values(), ids=ENDED)
def test_81_steps_at_rate_0(catalog, schedule, first):
    found = warned(catalog, "munit_synthetic", "steps=6", f"optimizers.default.schedule={schedule}")
    instead = f", or set steps={first}" if first else ""
    says = f"every learning rate is 0 from step {first} of 6 on, nothing is learnt: change optimizers.default.schedule"
    assert found == ([] if first is None else [says + instead])


def test_81_one_player_that_goes_on_is_enough(catalog):
    rest = ["optimizers.d.roles=[discriminator]", "optimizers.d.lr=0.1", "optimizers.default.schedule=step(4, 0)"]
    assert warned(catalog, "munit_synthetic", "steps=6", *rest) == []
    (found,) = warned(catalog, "munit_synthetic", "steps=6", *rest, "optimizers.d.schedule=step(2, 0)")
    assert "from step 4 of 6 on" in found and "change optimizers.default.schedule and optimizers.d.schedule" in found


def test_81_going_on_past_the_end(host, listening, tmp_path):
    changes = ("optimizers.default.schedule=linear(1, 0, steps=2)", "optimizers.default.lr=0.5", "run.log_every=1")
    assert tiny_run(host, tmp_path, listening, "munit_synthetic", *changes, "steps=2") == []
    (found,) = tiny_run(host, tmp_path, listening, "munit_synthetic", *changes, "steps=4")
    assert "every learning rate is 0 from step 2 of 4 on" in found
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["rate.default"] for line in lines] == [0.5, 0.25, 0, 0]


class Judging(torch.nn.Module):
    """A discriminator with methods of all kinds."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 1, 3)

    def features(self, x):
        return [self.stem(x)]

    def judge(self, features):
        return self.head(features[-1])

    def forward(self, x):
        return self.judge(self.features(x))

    def names(self):
        return ["stem"]


def patched(forward):
    """A method of one route whose `translation` needs what `forward(discriminator, x)` gives."""

    class Pass(ForwardPass):
        @tensor
        def translation(self):
            return forward(self.dst.discriminator, self.source)

    class Method(Trainer):
        forward_pass, routes, roles = Pass, {"ab": ("a", "b")}, {"discriminator": "discriminators"}

    return Method


CALLS = {
    "the network": (lambda d, x: d(x), 1),
    "a method": (lambda d, x: d.features(x)[0], 1),
    "two methods": (lambda d, x: d.judge(d.features(x)), 2),
    "the network and a method": (lambda d, x: d(x).mean() + d.features(x)[0].mean(), 2),
    "a layer": (lambda d, x: d.head(d.stem(x)), 2),
    "no layer": (lambda d, x: d(x) * len(d.names()), 1),
}


@pytest.mark.parametrize(("forward", "count"), CALLS.values(), ids=CALLS)
def test_82_calls_of_networks_by_methods_and_layers(forward, count):
    catalog = Catalog()
    catalog.discriminators.add("judging", Judging)
    catalog.trainers.add("one", patched(forward))
    catalog.losses.add("mean", lambda x: x.mean())
    data = {
        "trainer": "one", "steps": 1, "data": {"use": "none", "size": 16},
        "networks": {"discriminator": {"use": "judging"}}, "optimizers": {"default": {"lr": 0.1}},
        "phases": {"one": {"trains": ["discriminator"], "minimize": {"mean": "mean(translation)"}}},
    }  # fmt: skip
    traced = trace_recipe(Recipe.model_validate(data), catalog)
    assert traced.calls == {("one", "ab", "translation"): ["discriminator"] * count}


def test_82_of_a_role_in_a_term(catalog):
    matching = "phases.generator.minimize.f=feature_matching(discriminator, translation, target)"
    plain, more = (trace_recipe(read_recipe("munit_synthetic", set=s), catalog) for s in ([], [matching]))
    assert more.network_calls == plain.network_calls + 2 * 2  # two activations on two routes
    assert more.calls["generator", "ab", "f (loss)"] == ["discriminator.b"] * 2
