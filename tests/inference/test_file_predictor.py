"""Label maps of files in their own runtimes, against plain arithmetic and against `Predictor`."""

import cv2
import numpy as np
import pytest

from kseg.errors import DataError, ModelError
from kseg.inference import FilePredictor, Predictor

IMAGE = np.random.default_rng(0).integers(0, 256, (23, 37, 3), np.uint8)


def channels(image):
    """Logits that are the image's own channels."""
    assert image.dtype == np.uint8
    return image.astype(np.float32) / 25


def test_the_strongest_channel_at_the_images_own_size():
    predictor = FilePredictor(channels, "logits")
    np.testing.assert_array_equal(predictor(IMAGE), IMAGE.argmax(-1))
    powers = np.exp(IMAGE.astype(np.float64) / 25)
    np.testing.assert_allclose(
        predictor.probabilities(IMAGE), powers / powers.sum(-1, keepdims=True), atol=1e-5
    )
    np.testing.assert_array_equal(predictor.batch(np.stack([IMAGE, IMAGE[::-1]]))[1], IMAGE[::-1].argmax(-1))
    assert (predictor.num_classes, predictor.classes, predictor.palette) == (3, None, None)


def test_images_are_averaged_down_and_probabilities_brought_back():
    seen = []

    def run(image):
        seen.append(image)
        return np.stack([image[..., 0] / 255.0, 1 - image[..., 0] / 255.0], -1)

    blocks = np.kron(np.array([[0, 200], [100, 255]], np.uint8), np.ones((8, 8), np.uint8))
    predictor = FilePredictor(run, "probabilities", (2, 2), ("a", "b"), ((0, 0, 0), (1, 2, 3)))
    found = predictor.probabilities(np.repeat(blocks[..., None], 3, -1))
    np.testing.assert_array_equal(seen[-1][..., 0], [[0, 200], [100, 255]])
    small = np.array([[0, 200], [100, 255]], np.float32) / 255
    np.testing.assert_allclose(
        found[..., 0], cv2.resize(small, (16, 16), interpolation=cv2.INTER_LINEAR), atol=1e-6
    )
    assert (predictor.model.classes, predictor.model.palette) == (("a", "b"), ((0, 0, 0), (1, 2, 3)))


def test_one_channel_and_class_ids():
    one = FilePredictor(lambda image: image[..., :1] / 255.0 * 4 - 2, "logits")
    np.testing.assert_array_equal(one(IMAGE), IMAGE[..., 0] > 127)
    ids = FilePredictor(lambda image: (image[..., 0] > 100).astype(np.int64), "labels", classes=("a", "b"))
    np.testing.assert_array_equal(ids(IMAGE), IMAGE[..., 0] > 100)
    assert ids.probabilities(IMAGE).shape == (23, 37, 2)


def test_floats_and_a_crf():
    def crf(image, probabilities):
        assert image.shape == IMAGE.shape
        return 1 - probabilities

    predictor = FilePredictor(channels, "logits", crf=crf)
    np.testing.assert_array_equal(predictor(IMAGE.astype(np.float32)), IMAGE.argmin(-1))


@pytest.mark.parametrize("shape", [(3,), (2, 2, 0), (1, 2, 3, 4)])
def test_what_is_no_map(shape):
    with pytest.raises(ModelError, match="expected"):
        FilePredictor(lambda image: np.zeros(shape), "logits")
    with pytest.raises(DataError):
        FilePredictor(channels, "logits")(np.zeros((4, 4)))


def test_a_tflite_file_gives_what_its_keras_model_gives(tmp_path):
    import keras

    from kseg.export import tflite
    from kseg.prediction import file_predictor

    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Conv2D(4, 1)(x))
    tflite(model, tmp_path / "fixed.tflite", size=(16, 24))
    tflite(model, tmp_path / "free.tflite", dynamic=True)
    for name, size in (("fixed", (16, 24)), ("free", None)):
        ours, theirs = file_predictor(tmp_path / f"{name}.tflite"), Predictor(model, size=size)
        np.testing.assert_allclose(ours.probabilities(IMAGE), theirs.probabilities(IMAGE), atol=2e-3)
        assert (ours(IMAGE) == theirs(IMAGE)).mean() > 0.995


@pytest.mark.realdata
def test_the_preset_in_litert_agrees_with_keras_on_photographs(real_data):
    from kseg.io.images import read_image
    from kseg.models import from_preset, preset_file
    from kseg.prediction import file_predictor

    ours, theirs = file_predictor(preset_file("people", "int8"), trust=True), Predictor(from_preset("people"))
    paths = sorted((real_data / "voc_people").rglob("*.jpg"))[:12]
    agreement = [(ours(image) == theirs(image)).mean() for image in map(read_image, paths)]
    assert len(paths) == 12
    assert np.mean(agreement) > 0.97
    assert min(agreement) > 0.9
