"""The step: phases, optimizers, weights, what it leaves behind."""

import gc
import math
import weakref
from typing import Any

import pytest
import torch
import toy
from torch import Tensor, nn

from i2i_forge.engine.optimizers import RULES, RoleOptimizer
from i2i_forge.engine.passes import StepPasses
from i2i_forge.engine.trainer import Trainer
from i2i_forge.engine.watcher import Watcher
from i2i_forge.errors import DivergedError, RecipeError, UsageError
from i2i_forge.recipe.terms import parse_weight

# ---- the objective -------------------------------------------------------------------------------------------------


def test_a_step_is_gradient_descent_on_the_weighted_sum() -> None:
    """Against the same formulas written out by hand."""
    trainer, by_hand = toy.build(toy.PLAYERS), toy.build(toy.PLAYERS)
    images = toy.images()
    report = trainer.step(images, 0)
    nets, lr = by_hand.networks, 0.1
    draws = StepPasses(by_hand, images, 0, {}, phases=by_hand.phases)
    code = {(p, r): draws.get(p, r).code for p in ("critic", "translator") for r in ("ab", "ba")}
    enc, dec, critic = nets["encoder"], nets["decoder"], nets["critic"]

    with torch.no_grad():
        fake = {d: dec[d](enc[s](images[s]), code["critic", s + d]) for s, d in ("ab", "ba")}
    losses = {f"critic/real/{r}": critic[r[1]](images[r[1]]).square().mean() for r in ("ab", "ba")}
    losses |= {f"critic/fake/{r}": critic[r[1]](fake[r[1]]).square().mean() for r in ("ab", "ba")}
    expected = dict(losses)
    descend(sum(losses.values()), [*critic["a"].parameters(), *critic["b"].parameters()], lr)

    fake = {d: dec[d](enc[s](images[s]), code["translator", s + d]) for s, d in ("ab", "ba")}
    gan = {f"translator/gan/{s}{d}": critic[d](fake[d]).square().mean() for s, d in ("ab", "ba")}
    cycle = {
        f"translator/cycle/{s}{d}": (dec[s](enc[d](fake[d]), code["translator", d + s]) - images[s]).square().mean()
        for s, d in ("ab", "ba")
    }
    players = [p for net in (*enc.values(), *dec.values()) for p in net.parameters()]
    descend(2 * sum(gan.values()) + 10 * sum(cycle.values()), players, lr)

    expected |= gan | cycle
    assert list(report) == list(expected)
    assert report == pytest.approx({name: loss.item() for name, loss in expected.items()}, rel=1e-5)
    for name, value in by_hand.state_dict().items():
        assert torch.allclose(trainer.state_dict()[name], value, atol=1e-6), name


def descend(total: Any, parameters: list[nn.Parameter], lr: float) -> None:
    with torch.no_grad():
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter -= lr * gradient


def test_a_term_may_differ_by_route() -> None:
    terms = {"x": {"ab": "1 * size(content)", "ba": "3 * mean(translation)"}, "y": {"ba": "1 * size(code)"}}
    phases = {"phase": {"trains": ["encoder", "decoder"], "minimize": terms}}
    trainer = toy.build(phases)
    assert list(trainer.step(toy.images(), 0)) == ["phase/x/ab", "phase/x/ba", "phase/y/ba"]
    assert trainer.networks["decoder"]["a"].calls == 1
    assert trainer.networks["decoder"]["b"].calls == 0


def test_weights_follow_their_schedule_and_the_report_is_unweighted() -> None:
    trainer = toy.build(toy.only("linear(0, 4, steps=4) * mean(content)", trains=("encoder",)))
    bias = trainer.networks["encoder"]["a"].conv.bias
    for step in range(6):
        before = bias.detach().clone()
        report = trainer.step(toy.images(), step)
        moved = before - bias.detach()  # the gradient of the mean by each of 4 biases is 1/4
        assert torch.allclose(moved, torch.full((4,), 0.1 * min(step, 4) / 4), atol=1e-6)
        assert (report == {}) == (step == 0)


def test_learning_rates_follow_their_schedule_in_closed_form() -> None:
    entries = {"default": {"use": "sgd", "lr": 0.5, "schedule": "warmup(2) * step(3, 0.1)"}}
    rates = {0: 0.25, 1: 0.5, 2: 0.5, 3: 0.05, 5: 0.05, 6: 0.005, 1000: 0.5 * 0.1**333}
    for step, rate in rates.items():  # each in a fresh trainer: a resumed run needs no scheduler state
        trainer = toy.build(toy.only("1 * mean(content)", trains=("encoder",)), optimizers=entries)
        bias = trainer.networks["encoder"]["a"].conv.bias
        before = bias.detach().clone()
        trainer.step(toy.images(), step)
        assert torch.allclose(before - bias.detach(), torch.full((4,), rate / 4), atol=1e-7)


def test_every() -> None:
    phases = {
        "often": {"trains": ["critic"], "minimize": {"x": "1 * size(real_logits)"}},
        "seldom": {"trains": ["encoder"], "minimize": {"x": "1 * size(content)"}, "every": 3},
    }
    trainer = toy.build(phases)
    turns = [{name.partition("/")[0] for name in trainer.step(toy.images(), step)} for step in range(7)]
    assert [step for step, names in enumerate(turns) if "seldom" in names] == [0, 3, 6]
    assert all("often" in names for names in turns)


def test_a_phase_reads_its_own_stream() -> None:
    data = {"use": "none", "batch": 2, "paired": {"use": "none", "batch": 3}}
    phases = toy.only("1 * size(content)", stream="paired")
    trainer = toy.build(phases, data=data)
    main, paired = toy.images(2), toy.images(3, seed=5)
    report = trainer.step({**main, "paired": paired}, 0)
    with torch.no_grad():
        expected = toy.build(phases, data=data).networks["encoder"]["a"](paired["a"]).square().mean()
    assert report["phase/term/ab"] == pytest.approx(float(expected))
    with pytest.raises(UsageError, match="phase 'phase' reads the stream 'paired'"):
        trainer.step(main, 1)


def test_labels_of_a_batch_stay_integers() -> None:
    seen: list[torch.dtype] = []
    catalog = toy.catalog()
    catalog.losses.add("look", lambda labels, x: (seen.append(labels.dtype), x.mean())[1])
    trainer = toy.build(toy.only("1 * look(labels, content)"), of=catalog, dtype=torch.float64)
    trainer.step({**toy.images(), "labels": torch.tensor([0, 1]), "files": ["x", "y"]}, 0)
    assert seen == [torch.int64]


def test_a_phase_whose_terms_reach_nothing_it_trains_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"phases\.phase: none of its terms depends on what it trains \(critic\)"):
        toy.build(toy.only("1 * size(content)", trains=("critic",))).step(toy.images(), 0)


# ---- who learns ----------------------------------------------------------------------------------------------------


def test_networks_that_a_phase_does_not_train_get_neither_gradient_nor_graph() -> None:
    graphs: dict[str, bool] = {}
    catalog = toy.catalog()
    catalog.losses.add(
        "look", lambda content, logits: (graphs.update(content=content.requires_grad), logits.square().mean())[1]
    )
    trainer = toy.build(toy.only("1 * look(content, fake_logits)", trains=("critic",)), of=catalog)
    before = toy.weights(trainer)
    trainer.step(toy.images(), 0)
    assert graphs == {"content": False}
    assert toy.changed(trainer, before) == {"critic"}
    assert all(p.grad is None for _, module in trainer.modules() for p in module.parameters())


def test_gradients_reach_through_a_frozen_network() -> None:
    trainer = toy.build(toy.only("1 * size(fake_logits)", trains=("decoder",)))
    before = toy.weights(trainer)
    trainer.step(toy.images(), 0)
    assert toy.changed(trainer, before) == {"decoder"}


def test_modes_are_set_only_where_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, called, train = toy.build(toy.PLAYERS), [], nn.Module.train
    trainer.step(toy.images(), 0)
    monkeypatch.setattr(nn.Module, "train", lambda self, mode=True: (called.append(self), train(self, mode))[1])
    trainer.step(toy.images(), 1)
    assert not called
    trainer.networks["encoder"]["a"].conv.eval()
    called.clear()
    trainer.step(toy.images(), 2)
    assert set(called) == set(trainer.networks["encoder"]["a"].modules())
    assert all(module.training for _, network in trainer.modules() for module in network.modules())


def test_training_only_is_undone_even_after_an_error_and_keeps_what_a_plugin_froze() -> None:
    catalog = toy.catalog()

    class PartlyFrozen(toy.Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.conv.bias.requires_grad_(False)

    catalog.encoders.add("partly_frozen", PartlyFrozen)
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "partly_frozen", "per": ["a", "b"]}}
    trainer = toy.build(toy.only("1 * size(recovered)"), of=catalog, networks=networks)

    def state() -> dict[str, bool]:
        return {f"{key}.{n}": p.requires_grad for key, m in trainer.modules() for n, p in m.named_parameters()}

    before, weights = state(), toy.weights(trainer)
    with pytest.raises(ZeroDivisionError), trainer.training_only(("critic",)):
        assert {name for name, required in state().items() if required} == {n for n in before if "critic" in n}
        with trainer.training_only(("encoder",)):
            assert state()["encoder.a.conv.weight"]
            assert not state()["encoder.a.conv.bias"]
            assert not state()["critic.a.conv.weight"]
        assert state()["critic.a.conv.weight"]
        raise ZeroDivisionError
    assert state() == before
    trainer.step(toy.images(), 0)
    assert state() == before
    assert torch.equal(weights["encoder.a.conv.bias"], trainer.networks["encoder"]["a"].conv.bias)
    assert not torch.equal(weights["encoder.a.conv.weight"], trainer.networks["encoder"]["a"].conv.weight)


def test_a_network_without_per_is_shared_by_the_domains() -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv"}}
    trainer = toy.build(toy.only("1 * mse(recovered, content)"), networks=networks)
    assert "encoder.conv.weight" in trainer.state_dict()
    assert next(name for name, _ in trainer.modules()) == "encoder"
    trainer.step(toy.images(), 0)
    assert trainer.networks["encoder"]["shared"].calls == 2


def test_networks_of_two_domains_begin_differently_and_a_seed_decides_how() -> None:
    one, same, other = toy.build(), toy.build(), toy.build(seed=8)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    weight = "encoder.{}.conv.weight"
    assert not torch.equal(one.state_dict()[weight.format("a")], one.state_dict()[weight.format("b")])
    assert not torch.equal(one.state_dict()[weight.format("a")], other.state_dict()[weight.format("a")])


def test_building_and_stepping_leave_the_global_random_state_alone() -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "dropout": 0.5}}
    torch.manual_seed(123)
    before = torch.get_rng_state()
    trainer = toy.build(networks=networks)
    first = trainer.step(toy.images(), 0)
    trainer.translate(toy.images()["a"])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert toy.build(networks=networks).step(toy.images(), 0) == first


def test_a_loss_that_draws_does_so_under_its_own_key() -> None:
    """A gradient penalty's mixing numbers, for example: another term before it changes nothing."""

    def drawing(x: Tensor) -> Tensor:
        return (x * torch.rand(x.shape)).mean()

    reports = []
    for other in ({}, {"aaa": "1 * drawing(code)"}):
        catalog = toy.catalog()
        catalog.losses.add("drawing", drawing)
        terms = {**other, "x": "1 * drawing(content)"}
        trainer = toy.build({"phase": {"trains": ["encoder"], "minimize": terms}}, of=catalog)
        before = torch.get_rng_state()
        reports.append(trainer.step(toy.images(), 0))
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(5)
    assert {name: reports[1][name] for name in reports[0]} == reports[0]


def test_dropping_a_term_leaves_dropout_and_noise_of_the_others_alone() -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "dropout": 0.5}}
    terms = {"code": "1 * size(code)", "cycle": "1 * mse(cycled, source)", "recovered": "1 * mse(recovered, content)"}
    phases = {"phase": {"trains": ["encoder", "decoder"], "minimize": terms}}
    full = toy.build(phases, networks=networks).step(toy.images(), 0)
    for names in (["recovered"], ["recovered", "cycle"], ["cycle", "code"]):
        phases = {"phase": {"trains": ["encoder", "decoder"], "minimize": {name: terms[name] for name in names}}}
        report = toy.build(phases, networks=networks).step(toy.images(), 0)
        assert report == {name: full[name] for name in report}
        assert len(report) == 2 * len(names)


# ---- optimizers ----------------------------------------------------------------------------------------------------


def moved(phases: dict[str, Any], optimizers: dict[str, Any]) -> dict[str, Tensor]:
    """How a step changes every weight."""
    trainer = toy.build(phases, optimizers=optimizers)
    before = toy.weights(trainer)
    trainer.step(toy.images(), 0)
    return {name: value - before[name] for name, value in trainer.state_dict().items()}


def test_optimizer_entries_name_their_roles_and_default_takes_the_rest() -> None:
    entries = {"default": {"use": "sgd", "lr": 0.1}, "slow": {"use": "sgd", "lr": 0.001, "roles": ["decoder"]}}
    terms = {"x": "1 * mean(content)", "y": "1 * mean(translation)"}
    phases = {"phase": {"trains": ["encoder", "decoder"], "minimize": terms}}
    one_rate, two_rates = (moved(phases, optimizers) for optimizers in (toy.SGD, entries))
    for name, change in one_rate.items():
        factor = 0.01 if name.startswith("decoder") else 1.0
        assert torch.allclose(two_rates[name], change * factor, atol=1e-7), name


def test_clipping_takes_the_norm_over_the_entry_together() -> None:
    entries = {
        "default": {"use": "sgd", "lr": 1.0},
        "clipped": {"use": "sgd", "lr": 1.0, "roles": ["encoder", "decoder"], "clip": 0.01},
    }
    terms = {"x": "50 * size(recovered)", "y": "1 * size(real_logits)"}
    phases = {"phase": {"trains": ["encoder", "decoder", "critic"], "minimize": terms}}
    free, clipped = (moved(phases, each) for each in ({"default": {"use": "sgd", "lr": 1.0}}, entries))

    def norm(changes: dict[str, Tensor]) -> float:
        return math.sqrt(sum(float(v.square().sum()) for n, v in changes.items() if "critic" not in n))

    assert norm(free) > 0.1
    assert norm(clipped) == pytest.approx(0.01, rel=1e-3)
    for name, change in free.items():
        factor = 1.0 if "critic" in name else 0.01 / norm(free)
        assert torch.allclose(clipped[name], change * factor, atol=1e-5), name


def test_gradients_below_the_clip_norm_are_untouched() -> None:
    free, clipped = toy.build(), toy.build(optimizers={"default": {"use": "sgd", "lr": 0.1, "clip": 1e6}})
    for trainer in (free, clipped):
        trainer.step(toy.images(), 0)
    for name, value in free.state_dict().items():
        assert torch.equal(value, clipped.state_dict()[name])


def test_two_phases_that_train_one_role_share_one_adam_state() -> None:
    term = {"x": {"ab": "1 * size(content)"}}
    phases = {name: {"trains": ["encoder"], "minimize": term} for name in ("one", "two")}
    twice, alone = toy.build(phases, optimizers=toy.ADAM), toy.build(toy.only("1 * size(content)"), optimizers=toy.ADAM)
    images = toy.images()
    twice.step(images, 0)
    for step in range(2):
        alone.step(images, step)
    assert float(twice.optimizer_state()["encoder|a.conv.weight|step"]) == 2
    for name, value in alone.state_dict().items():
        assert torch.allclose(twice.state_dict()[name], value, atol=1e-7)


def test_a_networks_gradients_of_one_phase_do_not_leak_into_the_next() -> None:
    term = {"x": {"ab": "1 * mean(content)"}}
    phases = {name: {"trains": ["encoder"], "minimize": term} for name in ("one", "two")}
    trainer = toy.build(phases)
    bias = trainer.networks["encoder"]["a"].conv.bias
    bias.grad = torch.full((4,), 100.0)  # what somebody left there
    before = bias.detach().clone()
    trainer.step(toy.images(), 0)
    assert torch.allclose(before - bias.detach(), torch.full((4,), 2 * 0.1 / 4), atol=1e-6)


@pytest.mark.parametrize("rule", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_rule_is_the_one_of_torch(rule: str) -> None:
    mine, theirs = (nn.Linear(3, 2, dtype=torch.float64) for _ in range(2))
    theirs.load_state_dict(mine.state_dict())
    options = {"weight_decay": 0.1}
    schedule = parse_weight("step(2, 0.5)")
    optimizer = RoleOptimizer(dict(mine.named_parameters()), rule=rule, lr=0.1, schedule=schedule, options=options)
    reference = RULES[rule](theirs.parameters(), lr=0.1, weight_decay=0.1)
    for step in range(4):
        for group in reference.param_groups:
            group["lr"] = 0.1 * 0.5 ** (step // 2)
        for network in (mine, theirs):
            network.zero_grad()
            network(torch.ones(1, 3, dtype=torch.float64)).square().sum().backward()
        optimizer.step(step)
        reference.step()
        assert torch.allclose(mine.weight, theirs.weight, rtol=1e-12)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"use": "adm", "lr": 0.1}, "there is no rule 'adm'"),
        ({"use": "adam", "lr": 0.1, "beta": [0, 1]}, "adam has no option 'beta'"),
        ({"use": "adam", "lr": 0.1, "fused": True}, "adam has no option 'fused'"),
    ],
)
def test_a_wrong_optimizer_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        toy.build(optimizers={"default": entry})


# ---- state ---------------------------------------------------------------------------------------------------------


def test_a_registered_state_is_reachable_from_the_pass_and_is_checkpointed() -> None:
    trainer = toy.build(toy.only("1 * size(pooled_logits)", trains=("critic",)))
    assert trainer.state_dict()["state.pool.ab.seen"] == 0
    trainer.step(toy.images(), 0)
    seen = trainer.state_dict()["state.pool.ab.seen"]
    assert seen != 0
    other = toy.build(toy.only("1 * size(pooled_logits)", trains=("critic",)))
    other.load_state_dict(trainer.state_dict())
    assert torch.equal(other.state_dict()["state.pool.ab.seen"], seen)


def test_batch_norm_follows_the_mode() -> None:
    networks = toy.recipe().to_data()["networks"] | {"encoder": {"use": "conv", "per": ["a", "b"], "batch_norm": True}}
    trainer = toy.build(toy.only("1 * size(content)"), networks=networks)
    norm, images = trainer.networks["encoder"]["a"].norm, toy.images()
    trainer.infer("content", images, "ab")
    assert norm.num_batches_tracked == 0
    report = trainer.step(images, 0)
    assert norm.num_batches_tracked == 1
    assert report["phase/term/ab"] == pytest.approx(1.0, abs=1e-3)  # normalised by its own batch
    one, both = ({"a": images["a"][:count]} for count in (1, 2))
    assert torch.allclose(trainer.infer("content", one, "ab"), trainer.infer("content", both, "ab")[:1], atol=1e-6)
    assert not norm.training
    trainer.step(images, 1)
    assert norm.training


def test_load_state_dict_wants_every_name() -> None:
    trainer = toy.build()
    state = trainer.state_dict()
    state.pop("critic.a.conv.bias")
    with pytest.raises(KeyError, match=r"critic\.a\.conv\.bias"):
        trainer.load_state_dict(state)


# ---- what is left --------------------------------------------------------------------------------------------------


def test_nothing_survives_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors: list[weakref.ref[Any]] = []
    passes: list[weakref.ref[Any]] = []

    class Listed(toy.ToyForward):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            passes.append(weakref.ref(self))

    class Listing(Watcher):
        def computed(self, node: Any, value: Any) -> None:
            if node[2] not in ("source", "target"):  # those are the batch's
                tensors.append(weakref.ref(value))

    monkeypatch.setattr(toy.Toy, "forward_pass", Listed)
    trainer = toy.build()
    images = toy.images()
    gc.collect()
    gc.disable()
    try:
        trainer.step(images, 0, watcher=Listing())
        assert len(tensors) > 10 and len(passes) == 4
        assert not [ref for ref in tensors if ref() is not None]
        assert not [ref for ref in passes if ref() is not None]
    finally:
        gc.enable()
    assert all(p.grad is None for _, module in trainer.modules() for p in module.parameters())


def test_each_phases_graph_is_gone_before_the_next_begins() -> None:
    alive: list[bool] = []
    kept: list[weakref.ref[Tensor]] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(weakref.ref(x))
        return x.square().mean()

    def look(x: Tensor) -> Tensor:
        alive.extend(ref() is not None for ref in kept)
        return x.square().mean()

    catalog = toy.catalog()
    catalog.losses.add("keep", keep)
    catalog.losses.add("look", look)
    phases = {
        "first": {"trains": ["encoder"], "minimize": {"x": "1 * keep(content)"}},
        "second": {"trains": ["critic"], "minimize": {"x": "1 * look(real_logits)"}},
    }
    toy.build(phases, of=catalog).step(toy.images(), 0)
    assert alive
    assert not any(alive)


# ---- divergence ----------------------------------------------------------------------------------------------------


def diverging(loss: Any) -> Trainer:
    catalog = toy.catalog()
    catalog.losses.add("odd", loss)
    phases = {
        "fine": {"trains": ["critic"], "minimize": {"x": "1 * size(real_logits)"}},
        "bad": {
            "trains": ["encoder", "decoder"],
            "minimize": {"ok": "1 * size(recovered)", "odd": {"ba": "1 * odd(content)"}},
        },
    }
    return toy.build(phases, of=catalog, optimizers=toy.ADAM)


class Spoiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * math.nan


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda x: x.mean() * math.nan, "not finite at step 1: bad/odd/ba = nan; phase 'bad' was not updated"),
        (lambda x: x.mean() + math.inf, "bad/odd/ba = inf"),
        (lambda x: Spoiled.apply(x).mean(), r"the gradient of encoder\.b; phase 'bad' was not updated"),
    ],
    ids=["loss nan", "loss inf", "gradient nan"],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_a_step_that_diverges_is_not_applied(loss: Any, message: str, late: bool) -> None:
    trainer, healthy = diverging(loss), diverging(lambda x: x.mean())
    trainer.load_state_dict(healthy.state_dict())
    healthy.step(toy.images(), 0)
    trainer.load_state_dict(healthy.state_dict())
    trainer.load_optimizer_state(healthy.optimizer_state())
    before, memory = toy.weights(trainer), {k: v.clone() for k, v in trainer.optimizer_state().items()}
    assert memory
    trainer.judged_late = late
    with pytest.raises(DivergedError, match=message):
        trainer.step(toy.images(), 1)
    assert toy.changed(trainer, before) == {"critic"}  # whose turn came first, and was fine
    for name, value in trainer.optimizer_state().items():
        assert torch.equal(value, memory[name]) == (not name.startswith("critic")), name


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_a_diverged_trainer_can_go_on(late: bool) -> None:
    odd = {"now": True}
    trainer = diverging(lambda x: x.mean() * (math.nan if odd["now"] else 1))
    trainer.judged_late = late
    with pytest.raises(DivergedError):
        trainer.step(toy.images(), 0)
    odd["now"] = False
    before = toy.weights(trainer)
    assert all(math.isfinite(loss) for loss in trainer.step(toy.images(), 1).values())
    assert toy.changed(trainer, before) == {"critic", "encoder", "decoder"}


def test_steps_that_are_judged_late_compute_the_same_and_are_read_after_the_next() -> None:
    at_once, late = (toy.build(ema={"roles": ["decoder"], "half_life": 9}, optimizers=toy.ADAM) for _ in range(2))
    late.load_state_dict(at_once.state_dict())
    late.judged_late = True
    batches = [toy.images(seed=seed) for seed in range(4)]
    reports = [late.begin(batch, step) for step, batch in enumerate(batches)]
    assert [late.finish(report) for report in reports] == [at_once.step(x, step) for step, x in enumerate(batches)]
    assert len(reports[0]) == len(dict(reports[0])) > 3
    ours, theirs = late.state_dict() | late.optimizer_state(), at_once.state_dict() | at_once.optimizer_state()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(torch.equal(late.ema.values[name], value) for name, value in at_once.ema.values.items())


def test_nothing_is_updated_after_a_step_that_diverged_until_its_report_is_read() -> None:
    odd = {"now": True}
    trainer = diverging(lambda x: x.mean() * (math.nan if odd["now"] else 1))
    trainer.judged_late = True
    spoilt = trainer.begin(toy.images(), 0)
    odd["now"], before = False, toy.weights(trainer)
    later = trainer.begin(toy.images(), 1)
    assert toy.changed(trainer, before) == set()
    with pytest.raises(DivergedError, match="not finite at step 0: bad/odd/ba = nan"):
        trainer.finish(spoilt)
    assert all(map(math.isfinite, trainer.finish(later).values()))


def test_only_one_gpu_whose_optimizers_can_skip_an_update_is_judged_late() -> None:
    trainer = toy.build(optimizers=toy.ADAM)
    assert not trainer.judged_late
    for rule, late in (("adam", True), ("adamw", True), ("rmsprop", False), ("sgd", False)):
        trainer = toy.build(optimizers={"default": {"use": rule, "lr": 0.1}})
        trainer.device = torch.device("cuda")
        assert trainer.judged_late == late, rule


# ---- precision -----------------------------------------------------------------------------------------------------


def test_bf16_runs_networks_in_bfloat16_and_losses_in_fp32() -> None:
    types: list[torch.dtype] = []

    def look(x: Tensor, y: Tensor) -> Tensor:
        types.extend([x.dtype, (x.flatten(1) @ y.flatten(1).T).dtype])
        return (x - y).square().mean()

    reports = {}
    for precision in ("fp32", "bf16"):
        catalog = toy.catalog()
        catalog.losses.add("look", look)
        phases = {"phase": {"trains": ["encoder", "decoder"], "minimize": {"x": "1 * look(cycled, source)"}}}
        trainer = toy.build(phases, of=catalog, precision=precision)
        inside: list[torch.dtype] = []
        trainer.networks["encoder"]["a"].conv.register_forward_hook(lambda m, i, out, to=inside: to.append(out.dtype))
        reports[precision] = trainer.step(toy.images(), 0)
        assert set(inside) == {torch.bfloat16 if precision == "bf16" else torch.float32}
        assert all(v.dtype == torch.float32 for v in trainer.state_dict().values())
        assert trainer.translate(toy.images()["a"]).dtype == torch.float32
    assert set(types) == {torch.float32}
    assert reports["bf16"] == pytest.approx(reports["fp32"], rel=0.02)
    assert reports["bf16"] != reports["fp32"]


def test_float64_is_kept_everywhere() -> None:
    trainer = toy.build(dtype=torch.float64)
    report = trainer.step(toy.images(), 0)
    assert all(value.dtype == torch.float64 for value in trainer.state_dict().values() if value.dim())
    assert trainer.translate(toy.images()["a"]).dtype == torch.float64
    single = toy.build().step(toy.images(), 0)
    assert report == pytest.approx(single, rel=1e-4)
