"""Exports of models of six channels, and of classes that overlap."""

import keras
import numpy as np
import pytest

import kseg
from kseg import export
from kseg.errors import DataError, SettingsError
from kseg.export.images import as_batches, random_images
from kseg.export.parity import Comparison

pytestmark = pytest.mark.tensorflow
RANGE = (0, 65535)


def network(channels=3, multilabel=False):
    """A convolution of the image's mean: the first class where it is bright."""
    image = keras.Input((None, None, channels))
    high = RANGE[1] if channels != 3 else 255
    x = kseg.layers.Normalize((high / 2,) * channels, (high / 4,) * channels)(image)
    layer = keras.layers.Conv2D(2, 1, name="logits")
    backbone = kseg.backbones.Backbone(image, {"stage1": x})
    model = kseg.models.Segmenter(image, layer(x), backbone=backbone, num_classes=2, name="bright")
    kernel = np.stack([np.full(channels, 1 / channels), np.full(channels, -0.5 / channels)], -1)
    layer.set_weights([kernel[None, None], np.array([0.1, 0.2])])
    model.multilabel, model.classes = multilabel, ("bright", "dark")
    if channels != 3:
        backbone.value_range = RANGE
    return model


@pytest.fixture
def six():
    return np.random.default_rng(0).integers(0, 65536, (3, 40, 48, 6)).astype(np.uint16)


@pytest.mark.full
@pytest.mark.parametrize("multilabel", [False, True])
def test_files_give_what_keras_gives(six, multilabel, tmp_path):
    pytest.importorskip("onnxruntime")
    model = network(6, multilabel)
    export.onnx(model, tmp_path / "m.onnx", images=six)
    export.tflite(model, tmp_path / "m.tflite", size=(40, 48), images=six)
    parity = export.saved_model(model, tmp_path / "served")
    assert parity.agreement == 1
    expected = kseg.predict(model, six[0])
    for name in ("m.onnx", "m.tflite"):
        assert export.read_metadata(tmp_path / name)["input"]["range"] == list(RANGE)
        assert export.read_metadata(tmp_path / name)["input"]["channels"] == 6
        found = kseg.predict(tmp_path / name, six[0])
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_array_equal(found.masks, expected.masks)
        assert found.areas() == expected.areas()
        with pytest.raises(DataError, match="height, width, 6"):
            kseg.predict(tmp_path / name, six[0, ..., :3])
    data = kseg.data.from_arrays(six[..., :3] >> 8, six[..., 0] % 2, classes=["bright", "dark"])
    with pytest.raises(SettingsError, match="channels=6, and the data set arrays channels=3"):
        kseg.evaluation.evaluate(kseg.predictor(tmp_path / "m.onnx"), data)


@pytest.mark.full
def test_served_masks(six, tmp_path):
    import tensorflow as tf

    model = network(6, multilabel=True)
    export.saved_model(model, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    assert list(served.signatures) == ["serving_default"]
    found = served.signatures["serving_default"](images=tf.constant(six, tf.float32))["mask"].numpy()
    np.testing.assert_array_equal(found, np.asarray(model(six.astype("float32"))) > 0)


def test_images_of_another_range(six):
    drawn = random_images([(9, 11)], 6, value_range=(-1, 1))[0]
    assert drawn.shape == (1, 9, 11, 6)
    assert -1 <= drawn.min() < -0.5
    assert 0.5 < drawn.max() <= 1
    np.testing.assert_allclose(drawn, random_images([(9, 11)], 6)[0] / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(as_batches(six, None, 6, value_range=RANGE)[1][0], six[1])
    with pytest.raises(DataError, match="expected 0 to 1"):
        as_batches(six, None, 6, value_range=(0, 1))


def test_masks_are_compared_class_by_class():
    comparison = Comparison(even=0.0)
    expected = np.array([[[[1.0, -1.0], [2.0, 3.0], [-1.0, -2.0]]]])
    comparison.add(expected, np.array([[[[1, 0], [1, 0], [0, 0]]]], np.uint8))
    assert comparison.parity().agreement == pytest.approx(2 / 3)
    comparison.add(expected, expected * 2)
    assert comparison.parity().agreement == pytest.approx(5 / 6)
