import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.errors import FileError, ModelError, SettingsError
from kseg.export.graph import (
    check_class_ids,
    chosen_size,
    class_ids_of,
    in_float32,
    inspected,
    output_of,
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
    image = keras.Input((8, 8, 3))
    scores = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    logits = np.array([[[[1, 3, 3], [2, 0, 2]]]], "float32")
    found = class_ids_of(inspected(scores), logits)
    assert found.dtype == "uint8"
    np.testing.assert_array_equal(found, [[[1, 0]]])


def test_sizes():
    image = keras.Input((32, 48, 3))
    fixed = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    assert inspected(fixed).size == (32, 48)
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
    with pytest.raises(SettingsError, match="not both"):
        served_size(net, (8, 8), True)


def test_inputs_and_outputs_with_names():
    image = keras.Input((None, None, 3), name="image")
    named = keras.Model({"image": image}, {"logits": keras.layers.Conv2D(2, 1)(image)})
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(output_of(named)(x), named({"image": x})["logits"])


def test_models_that_cannot_be_exported():
    two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="2 inputs"):
        inspected(keras.Model(two, keras.layers.Add()(two)))
    with pytest.raises(ModelError, match="expected images"):
        inspected(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]))
    with pytest.raises(ModelError, match="no known input"):
        inspected(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ModelError, match="str"):
        inspected("model.keras")
    image = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="300 classes"):
        check_class_ids(inspected(keras.Model(image, keras.layers.Conv2D(300, 1)(image))))


def test_public_names():
    assert {"tflite", "onnx", "saved_model", "check", "auto"} <= set(kseg.export.__all__)


@pytest.mark.full
@pytest.mark.parametrize("kind", [tf.errors.ResourceExhaustedError, tf.errors.UnknownError, OSError])
def test_what_tensorflow_cannot_write_is_one_sentence(net, tmp_path, monkeypatch, kind):
    """A full disk while a SavedModel is written: TensorFlow has errors of its own for it."""

    def full(*_, **__):
        raise OSError(28, "No space left on device") if kind is OSError else kind(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(FileError, match="No space left"):
        kseg.export.saved_model(net, tmp_path / "served", size=(24, 36))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
