import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.optimizers import SGD, AdamW, with_learning_rates


def steps(optimizer, count=3):
    """The kernels of two layers after a few steps on a constant gradient."""
    model = keras.Sequential([keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="second")])
    model.build((1, 3))
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    for number in range(count):
        gradients = [keras.ops.full(v.shape, 0.5 + number) for v in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
    return [np.asarray(keras.ops.convert_to_numpy(layer.kernel)) for layer in model.layers]


@pytest.mark.parametrize(
    "make",
    [
        lambda rate: keras.optimizers.Adam(rate, beta_1=0.8, clipnorm=0.5),
        lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
        lambda rate: keras.optimizers.SGD(rate, momentum=0.7, nesterov=True),
        lambda rate: AdamW(rate, weight_decay=0.2),
        lambda rate: SGD(rate, 0.5, l2=0.1),
    ],
)
def test_each_layer_moves_as_under_its_own_rate(make):
    first, second = steps(with_learning_rates(make(0.1), {"first": 0.3}))
    np.testing.assert_allclose(first, steps(make(0.03))[0], rtol=1e-5)
    np.testing.assert_allclose(second, steps(make(0.1))[1], rtol=1e-5)


def test_a_schedule_and_factors_of_before_stay():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    given = AdamW(schedule, layer_multipliers={"first": 2.0, "second": 3.0})
    made = with_learning_rates(given, {"first": 0.5})
    assert made.layer_multipliers == {"first": 0.5, "second": 3.0}
    assert given.layer_multipliers == {"first": 2.0, "second": 3.0}
    assert made.get_config()["learning_rate"] == given.get_config()["learning_rate"]
    assert type(with_learning_rates("sgd", {"first": 0.5})) is SGD


def test_refusals():
    with pytest.raises(SettingsError, match="got RMSprop"):
        with_learning_rates("rmsprop", {"first": 0.5})
    with pytest.raises(SettingsError, match="all weights alike"):
        with_learning_rates(keras.optimizers.SGD(0.1, weight_decay=0.1), {"first": 0.5})
    used = AdamW(0.1)
    steps(used, 1)
    with pytest.raises(SettingsError, match="not used yet"):
        with_learning_rates(used, {"first": 0.5})
