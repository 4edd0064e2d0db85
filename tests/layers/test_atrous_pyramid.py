import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.layers import AtrousSpatialPyramidPooling


def _x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _parameters(layer, shape):
    layer.build(shape)
    return sum(int(np.prod(w.shape)) for w in layer.trainable_weights)


def test_parameters_are_the_published_ones():
    # DeepLab v2 less the body of ResNet-101: torchvision counts 44,549,160, of which 2,049,000 classify.
    short = AtrousSpatialPyramidPooling(21)
    assert _parameters(short, (None, None, None, 2048)) == 44_048_532 - (44_549_160 - 2_049_000)
    # DeepLab v2 on VGG16 less its thirteen convolutions.
    layer = AtrousSpatialPyramidPooling(21, hidden=1024)
    assert _parameters(layer, (None, None, None, 512)) == 37_877_652 - 14_714_688


def test_scores_are_the_sum_of_the_branches():
    x = _x(2, 9, 10, 3)
    layer = AtrousSpatialPyramidPooling(4, rates=(1, 2, 3))
    total = layer(x)
    want = 0
    for (branch,) in layer.branches:
        kernel, bias = (np.array(w) for w in branch.weights)
        padded = np.pad(x, [(0, 0), (r := branch.rate[0], r), (r, r), (0, 0)])
        want = want + bias
        for i, j in np.ndindex(3, 3):
            want = want + padded[:, i * r : i * r + 9, j * r : j * r + 10] @ kernel[i, j]
    assert [branch.rate for (branch,) in layer.branches] == [(1, 1), (2, 2), (3, 3)]
    np.testing.assert_allclose(total, want, atol=1e-5)


def test_long_branches_use_relu_and_drop_only_in_training():
    layer = AtrousSpatialPyramidPooling(4, rates=(2, 3), hidden=8, dropout=0.4)
    x = _x(2, 9, 10, 3)
    first = layer(x)
    np.testing.assert_array_equal(layer(x), first)
    assert not np.array_equal(layer(x, training=True), first)
    assert [sub.name for sub in layer.branches[1]] == ["fc6_2", "drop6_2", "fc7_2", "drop7_2", "fc8_2"]
    assert np.array(layer.branches[0][0](x)).min() == 0
    np.testing.assert_allclose(np.std(layer.branches[0][4].kernel), 0.01, rtol=0.4)


def test_config_round_trip_and_reload(tmp_path):
    layer = AtrousSpatialPyramidPooling(
        4, rates=(2, 5), hidden=6, dropout=0.25, kernel_regularizer=keras.regularizers.L2(1e-3), name="aspp"
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, AtrousSpatialPyramidPooling)
    assert again.get_config() == layer.get_config()
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    assert model.output_shape == (None, None, None, 4)
    assert len(model.losses) == 6
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = _x(1, 7, 8, 3)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[-1].rates == (2, 5)


def test_mixed_precision():
    layer = AtrousSpatialPyramidPooling(4, rates=(2,), hidden=6, dtype="mixed_float16")
    assert layer(_x(1, 7, 8, 3)).dtype == "float16"
    assert {w.dtype for w in layer.trainable_weights} == {"float32"}


@pytest.mark.parametrize(
    "bad",
    [
        *({"num_classes": 0}, {"rates": ()}, {"rates": (2, 0)}, {"hidden": 0}, {"dropout": 1.0}),
        *({"num_classes": 2.5}, {"rates": (2.5,)}, {"rates": 3}, {"rates": ("6",)}, {"hidden": 1.5}),
    ],
)
def test_refuses(bad):
    with pytest.raises(SettingsError, match="must be"):
        AtrousSpatialPyramidPooling(**{"num_classes": 3, **bad})
