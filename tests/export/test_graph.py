import keras
import numpy as np
import pytest

import kseg
from kseg.errors import ModelError, SettingsError
from kseg.export.graph import (
    check_class_ids,
    chosen_size,
    class_ids_of,
    image_shape,
    in_float32,
    logits_of,
    served_size,
)


def test_half_precision_becomes_float32_with_the_same_weights(half_net):
    wide = in_float32(half_net)
    assert {layer.compute_dtype for layer in wide.layers} == {"float32"}
    assert half_net.get_layer("score").compute_dtype == "float16"
    for ours, theirs in zip(half_net.get_weights(), wide.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_float32_model_is_taken_as_it_is(net):
    assert in_float32(net) is net


@keras.saving.register_keras_serializable(package="kseg_tests")
class Shell(keras.Model):
    """Keeps its precision as a plain word in its config, as kseg's networks do."""

    def __init__(self, dtype=None, **kwargs):
        image = keras.Input((8, 8, 3))
        super().__init__(image, keras.layers.Conv2D(2, 1, dtype=dtype)(image), **kwargs)
        self.word = dtype

    def get_config(self):
        return {"name": self.name, "dtype": self.word}


def test_a_precision_in_a_models_own_config_is_widened():
    wide = in_float32(Shell("mixed_bfloat16"))
    assert isinstance(wide, Shell)
    assert {layer.compute_dtype for layer in wide.layers} == {"float32"}


def test_first_of_equal_logits_wins():
    logits = np.array([[[[1, 3, 3], [2, 0, 2]]]], "float32")
    found = class_ids_of(logits)
    assert found.dtype == "uint8"
    np.testing.assert_array_equal(found, [[[1, 0]]])


def test_sizes():
    image = keras.Input((32, 48, 3))
    fixed = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    assert image_shape(fixed) == (32, 48, 3)
    assert chosen_size(fixed, None) == (32, 48)
    with pytest.raises(SettingsError, match="32x48"):
        chosen_size(fixed, (48, 32))
    for wrong in (7, (7,), (0, 5), (3, 4, 5), "big"):
        with pytest.raises(SettingsError, match="height, width"):
            chosen_size(fixed, wrong)


def test_one_free_side_needs_a_size():
    image = keras.Input((None, 48, 3))
    half = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    with pytest.raises(SettingsError, match=r"anyx48.*--size"):
        chosen_size(half, None)
    assert chosen_size(half, (20, 48)) == (20, 48)


def test_sizes_that_a_model_works_at(net):
    net.working_size = [24, 36]
    assert chosen_size(net, None) == served_size(net, None, False) == (24, 36)
    assert chosen_size(net, (8, 8)) == (8, 8)
    assert served_size(net, None, True) is None
    with pytest.raises(SettingsError, match="Either"):
        served_size(net, (8, 8), True)


def test_inputs_and_outputs_with_names():
    image = keras.Input((None, None, 3), name="image")
    named = keras.Model({"image": image}, {"logits": keras.layers.Conv2D(2, 1)(image)})
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(logits_of(named)(x), named({"image": x})["logits"])


def test_models_that_cannot_be_exported():
    two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="one input"):
        image_shape(keras.Model(two, keras.layers.Add()(two)))
    with pytest.raises(ModelError, match="one input"):
        image_shape(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]))
    with pytest.raises(ModelError, match="no known input"):
        image_shape(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ModelError, match="str"):
        image_shape("model.keras")
    image = keras.Input((8, 8, 3))
    for classes, said in ((300, "300 classes"), (1, "one channel a class")):
        with pytest.raises(ModelError, match=said):
            check_class_ids(keras.Model(image, keras.layers.Conv2D(classes, 1)(image)))


def test_public_names():
    assert {"tflite", "onnx", "saved_model", "check", "auto"} <= set(kseg.export.__all__)
