import pytest
from toys import Noise, catalog

from i2i_forge.errors import PluginError, UsageError
from i2i_forge.measure.plans import choose, choose_backbones, plan


def test_the_first_protocol_is_the_default():
    assert choose(catalog(), ["brightness"])["brightness"].name == "few/1"


@pytest.mark.parametrize("text", ["many", "many/2", "brightness=many", "brightness=many/2"])
def test_a_protocol_is_found_by_name(text):
    chosen = choose(catalog(), ["brightness", "distance"], [text])
    assert [p.name for p in chosen.values()] == ["many/2", "equal/1"]


@pytest.mark.parametrize(
    ("metrics", "text", "says"),
    [
        (["brightness"], "mny", "did you mean 'many/2'"),
        (["brightness"], "many/1", "no protocol 'many/1'"),
        (["brightness"], "distance=equal", "add --metric distance"),
        (["distance"], "distance=many", "distance: there is no protocol 'many'"),
    ],
)
def test_an_unknown_protocol_is_refused(metrics, text, says):
    with pytest.raises(UsageError) as caught:
        choose(catalog(), metrics, [text])
    assert says in str(caught.value)


def test_an_unknown_metric_is_refused():
    with pytest.raises(PluginError, match="there is no 'brightnes'"):
        choose(catalog(), ["brightnes"])


def planned(samples, *metrics, protocols=(), **counts):
    return plan(catalog(), choose(catalog(), metrics, protocols), samples, **counts)


def test_counts_are_the_protocols():
    (found,) = planned(Noise(), "brightness")
    assert (found.inputs, found.draws, found.deviations) == (3, 2, ())


def test_fewer_inputs_than_meant_is_a_deviation():
    (found,) = planned(Noise(inputs=2), "brightness")
    assert found.deviations == ("2 inputs instead of 3",)
    (found,) = planned(Noise(), "brightness", inputs=2, draws=9)
    assert found.deviations == ("2 inputs instead of 3", "9 outputs per input instead of 2")
    assert (found.protocol.inputs, found.protocol.draws) == (2, 9)


def test_all_inputs_are_no_deviation():
    (found,) = planned(Noise(inputs=4), "brightness", protocols=["many"])
    assert (found.inputs, found.deviations) == (4, ())


@pytest.mark.parametrize(("inputs", "real", "used"), [(5, 3, 3), (3, 5, 3)])
def test_equal_counts_cut_the_larger_set(inputs, real, used):
    (found,) = planned(Noise(inputs=inputs, real=real), "distance")
    assert (found.inputs, found.real) == (used, used)


def test_what_samples_lack_is_said():
    with pytest.raises(UsageError, match="distance needs real images") as caught:
        planned(Noise(real=0), "distance")
    assert "--real DIR" in caught.value.fix
    with pytest.raises(UsageError, match="truths needs the true outputs"):
        planned(Noise(), "truths")
    with pytest.raises(UsageError, match="compares translations of one input"):
        planned(Noise(draws=1), "brightness")
    with pytest.raises(UsageError, match="compares translations of one input"):
        planned(Noise(), "brightness", draws=1)


def test_a_deterministic_method_has_as_many_as_the_protocol_says():
    (found,) = planned(Noise(is_deterministic=True), "brightness")
    assert found.draws == 2


def test_a_backbone_is_for_the_metrics_that_take_it():
    found = catalog()
    found.metrics.get("distance").backbones = ("random", "classifier")
    found.metrics.get("brightness").backbones = ("random",)
    both = ["distance", "brightness"]
    assert choose_backbones(found, both, ["random"]) == {"distance": "random", "brightness": "random"}
    assert choose_backbones(found, both, ["classifier"]) == {"distance": "classifier"}
    assert choose_backbones(found, both, ["random", "distance=classifier"])["distance"] == "classifier"
    with pytest.raises(UsageError, match="brightness: there is no backbone 'classifier'"):
        choose_backbones(found, both, ["brightness=classifier"])
    (plan_of_it,) = plan(found, choose(found, ["distance"]), Noise(), backbones={"distance": "classifier"})
    assert plan_of_it.backbone == "classifier"
