"""Files of one class, and files that are not for frames, in the webcam."""

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import KsegError
from kseg.webcam.segmentation import load


def small_segmenter(channels, inputs=3):
    image = keras.Input((None, None, inputs))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image / 60 - 2)
    logits = keras.layers.Conv2D(channels, 3, padding="same", dtype="float32")(x)
    backbone = kseg.backbones.Backbone(image, {"x": x})
    return kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=channels)


@pytest.mark.full
@pytest.mark.tensorflow
def test_one_class_in_files_of_every_kind(tmp_path):
    pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(1)
    model = small_segmenter(1)
    model.classes = ("ground", "disk")
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    logits = keras.ops.convert_to_numpy(model(image[None].astype("float32")))[0, ..., 0]
    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))  # the sigmoid
    model.save(tmp_path / "m.keras")
    kseg.export.tflite(model, tmp_path / "m.tflite", size=(32, 40))
    kseg.export.onnx(model, tmp_path / "m.onnx", size=(32, 40))
    for name in ("m.keras", "m.tflite", "m.onnx"):
        loaded = load(str(tmp_path / name), size=(32, 40), trust=True)
        assert loaded.classes == ("ground", "disk")
        found = loaded(image[..., ::-1])
        np.testing.assert_allclose(found, np.stack([1 - expected, expected], -1), atol=1e-4)
        for threshold in (0.5, 0.7):
            labels = kseg.predict(str(tmp_path / name), image, threshold=threshold).labels
            assert (labels == (expected > threshold)).mean() > 0.999
    import tensorflow as tf

    kseg.export.saved_model(model, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    mask = served.signatures["serving_default"](images=tf.constant(image[None]))["mask"].numpy()[0]
    np.testing.assert_array_equal(mask, expected > 0.5)


@pytest.mark.full
@pytest.mark.tensorflow
@pytest.mark.parametrize(("inputs", "words"), [(3, "overlap, and the webcam needs one class"), (4, "4 channels")])
def test_exported_files_that_are_not_for_frames_are_refused(tmp_path, inputs, words):
    model = small_segmenter(2, inputs)
    model.multilabel = True
    kseg.export.tflite(model, tmp_path / "m.tflite", size=(32, 32))
    with pytest.raises(KsegError, match=words):
        load(str(tmp_path / "m.tflite"), trust=True)
