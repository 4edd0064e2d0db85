"""A plan settles everything before anything is written."""

import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.layers import PyramidPooling
from kseg.weights.axes import constant, kept, torch_moves, turned
from kseg.weights.transfer import plan, state_of, variables

RNG = np.random.default_rng(0)


@pytest.fixture
def model():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="dw")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(image, keras.layers.Conv2DTranspose(2, 2, use_bias=False, name="up")(x), name="net")


MODULES = {"conv": "a", "bn": "b", "dw": "c", "up": "d"}
SHAPES = {
    "a.weight": (4, 3, 3, 3),
    "a.bias": (4,),
    "b.weight": (4,),
    "b.bias": (4,),
    "b.running_mean": (4,),
    "b.running_var": (4,),
    "c.weight": (4, 1, 3, 3),
    "d.weight": (4, 2, 2, 2),
}


def arrays():
    return {key: RNG.uniform(0.1, 2, shape).astype("f4") for key, shape in SHAPES.items()}


def never(key):
    return False


def settled(model, given, moves=None, left_out=never):
    return plan(model, given, torch_moves(model, MODULES) if moves is None else moves, left_out, "f.pth")


def test_every_array_gets_to_its_place(model):
    given = arrays()
    done = settled(model, {**given, "b.count": np.int64(3)}, left_out=lambda key: key == "b.count")
    done.apply()
    assert done.copied == tuple(given)
    assert done.unused == ("b.count",)
    kernel = np.asarray(model.get_layer("conv").kernel)
    depthwise, up = np.asarray(model.get_layer("dw").kernel), np.asarray(model.get_layer("up").kernel)
    for out, into, row, column in np.ndindex(4, 3, 3, 3):
        assert kernel[row, column, into, out] == given["a.weight"][out, into, row, column]
    assert depthwise[1, 2, 3, 0] == given["c.weight"][3, 0, 1, 2]
    assert (
        up[0, 1, 1, 3] == given["d.weight"][3, 1, 0, 1]
    )  # (rows, columns, out, in) of (in, out, rows, columns)
    np.testing.assert_array_equal(model.get_layer("bn").moving_variance, given["b.running_var"])


def test_and_back_again(model):
    given = arrays()
    settled(model, given).apply()
    back = state_of(model, torch_moves(model, MODULES))
    assert back.keys() == given.keys()
    for key, array in given.items():
        np.testing.assert_array_equal(back[key], array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a.bias": None}, ["conv/bias", "keys that found no place: none"]),
        ({"e.weight": (1,)}, ["keys that found no place: e.weight", "got no array: none"]),
        ({"a.bias": None, "e.weight": (1,)}, ["conv/bias", "e.weight"]),
        ({"a.weight": (5, 3, 3, 3)}, ["conv/kernel (3, 3, 3, 4)", "a.weight (5, 3, 3, 3)"]),
        ({"a.weight": (4, 3, 9)}, ["a.weight (4, 3, 9)"]),
        ({"b.running_var": ()}, ["b.running_var ()"]),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(model, change, words):
    given = arrays()
    for key, shape in change.items():
        if shape is None:
            del given[key]
        else:
            given[key] = np.zeros(shape, "f4")
    before = [np.asarray(variable) for variable in model.weights]
    with pytest.raises(ModelError) as caught:
        settled(model, given)
    assert all(word in str(caught.value) for word in ["f.pth", *words]), caught.value
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("a.bias", lambda _: np.array(["a", "b", "c", "d"]), "a.bias holds values of the kind <U1"),
        ("a.weight", lambda a: a.astype("c8"), "a.weight holds complex numbers"),
        ("a.weight", lambda a: np.where(a == a.max(), np.nan, a), "a.weight holds NaN or infinite"),
        (
            "d.weight",
            lambda a: np.where(a == a.max(), np.inf, a).astype("f2"),
            "d.weight holds NaN or infinite",
        ),
        ("b.running_var", lambda a: a - 1, "b.running_var has negative variances"),
    ],
)
def test_what_is_no_network_s_number_is_refused(model, key, change, words):
    given = arrays()
    given[key] = change(given[key])
    with pytest.raises(ModelError, match=words):
        settled(model, given)


def test_large_numbers_are_finite_though_their_sum_is_not(model):
    given = arrays()
    given["a.bias"] = np.full(4, 3e38, "f4")
    settled(model, given).apply()
    np.testing.assert_array_equal(model.get_layer("conv").bias, given["a.bias"])


def test_a_map_that_names_what_is_not_there(model):
    with pytest.raises(ModelError, match="other/kernel"):
        settled(model, arrays(), [kept("other/kernel", "a.weight")])


def test_constants(model):
    given = arrays()
    moves = [move for move in torch_moves(model, MODULES) if move.target != "bn/moving_mean"]
    del given["b.running_mean"]
    settled(model, given, [*moves, constant("bn/moving_mean", 0.25)]).apply()
    np.testing.assert_array_equal(model.get_layer("bn").moving_mean, np.full(4, 0.25))


def test_half_precision_becomes_float32(model):
    given = {key: array.astype("f2") for key, array in arrays().items()}
    settled(model, given).apply()
    np.testing.assert_array_equal(model.get_layer("conv").bias, given["a.bias"].astype("f4"))
    assert model.get_layer("conv").bias.dtype == "float32"


def test_layers_inside_of_layers_have_names():
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, PyramidPooling(2, (1, 2), name="pyramid")(image))
    names = variables(model)
    assert {"pyramid/conv_1/kernel", "pyramid/bn_2/moving_mean"} <= names.keys()
    assert len(names) == len(model.weights)
    image = keras.Input((8, 8, 4))
    dropped = keras.Model(image, keras.layers.Dropout(0.5)(image))
    assert variables(dropped) == {}


def test_order_of_input_channels():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1, use_bias=False, name="mix")(image))
    given = {"w": np.arange(6, dtype="f4").reshape(2, 3, 1, 1)}
    moves = [turned("mix/kernel", "w", (2, 3, 1, 0), np.array([2, 0, 1]))]
    settled(model, given, moves).apply()
    np.testing.assert_array_equal(model.get_layer("mix").kernel[0, 0], [[2, 5], [0, 3], [1, 4]])
    np.testing.assert_array_equal(state_of(model, moves)["w"], given["w"])
