import io

import keras
import numpy as np
import pytest
from PIL import Image

from kseg.errors import DataError, SettingsError
from kseg.inference import Ensemble, Predictor
from kseg.inference.results.sources import camera, result_of


@pytest.fixture(scope="module")
def brightness():
    """One channel: the logit is the red value less 100, over 20."""
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(1, 1, name="logits")
    model = keras.Model(image, layer(image), name="brightness")
    layer.set_weights([np.array([0.05, 0, 0]).reshape(1, 1, 3, 1), np.array([-5.0])])
    return model


def test_one_channel_is_background_and_object(brightness, picture):
    image = picture()
    result = result_of(Predictor(brightness), image)
    expected = int((image[..., 0] > 100).sum())
    assert result.classes == ("background", "object")
    assert result.areas()["object"] == expected
    assert sum(result.areas().values()) == image.shape[0] * image.shape[1]
    assert sum(piece["area"] for piece in result.polygons()) == expected
    assert result.overlay(legend=False).shape == image.shape


@pytest.mark.parametrize("settings", [{}, {"flip": True}, {"window": 16}])
def test_a_threshold(brightness, picture, settings):
    image = picture()
    for threshold in (0.2, 0.9):
        predictor = Predictor(brightness, threshold=threshold, **settings)
        logit = np.log(threshold / (1 - threshold))
        expected = (image[..., 0] * 0.05 - 5 > logit).astype(np.uint8)
        np.testing.assert_array_equal(predictor(image), expected)
        np.testing.assert_array_equal(predictor.batch(image[None])[0], expected)
        np.testing.assert_array_equal(result_of(predictor, image).labels, expected)


def test_a_threshold_needs_two_classes(net):
    with pytest.raises(SettingsError, match="one channel or two classes"):
        Predictor(net(), threshold=0.3)
    with pytest.raises(SettingsError, match="threshold"):
        Predictor(net(), threshold=1.5)


def test_files_bytes_and_pil_images_are_the_array(brightness, picture, tmp_path):
    image, predictor = picture(), Predictor(brightness)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    expected = result_of(predictor, image).labels
    for source in (
        tmp_path / "a.png",
        content.getvalue(),
        bytearray(content.getvalue()),
        Image.fromarray(image),
    ):
        np.testing.assert_array_equal(result_of(predictor, source).labels, expected)


def test_no_such_camera():
    with pytest.raises(DataError, match="no camera 99"):
        next(camera(99))


def test_classes_that_overlap(brightness, picture):
    image = picture()
    layer = keras.layers.Conv2D(2, 1, name="logits")
    given = keras.Input((None, None, 3))
    model = keras.Model(given, layer(given), name="two")
    layer.set_weights([np.array([[0.05, 0], [0, 0.05], [0, 0]]).reshape(1, 1, 3, 2), np.array([-5.0, -7.5])])
    model.multilabel = True
    predictor = Predictor(model)
    expected = np.stack([image[..., 0] > 100, image[..., 1] > 150], -1)
    result = result_of(predictor, image)
    np.testing.assert_array_equal(result.masks, expected)
    np.testing.assert_array_equal(predictor(image), expected)
    np.testing.assert_array_equal(Predictor(model, flip=True, window=16)(image), expected)
    np.testing.assert_array_equal(predictor.batch(image[None])[0], expected)
    assert result.areas() == {f"class {i}": int(expected[..., i].sum()) for i in np.argsort(-expected.sum((0, 1)))}
    assert sum(one["area"] for one in result.polygons()) == expected.sum()
    assert (result.labels[~expected.any(-1)] == 255).all()
    with pytest.raises(SettingsError, match="a CRF needs one class a pixel"):
        Predictor(model, crf=lambda image, probabilities: probabilities)
    with pytest.raises(SettingsError, match="an ensemble needs one class a pixel"):
        Ensemble([predictor, predictor])


def test_other_channels_and_values(picture, tmp_path):
    given = keras.Input((None, None, 2))
    layer = keras.layers.Conv2D(1, 1)
    model = keras.Model(given, layer(given), name="depth")
    layer.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 2, 1), np.zeros(1)])
    model.value_range = (0, 1000)
    image = np.random.default_rng(0).integers(0, 1001, (37, 53, 2)).astype(np.uint16)
    np.savez(tmp_path / "a.npz", near=image[..., 1], far=image[..., 0])
    expected = image[..., 0] > image[..., 1]
    for source in (image, tmp_path / "a.npz", image.astype("float64")):
        result = result_of(Predictor(model), source)
        np.testing.assert_array_equal(result.labels, expected)
        assert result.image.shape == (37, 53, 3)
    assert Predictor(model, scales=(0.5, 1.5), size=30, flip=True)(image).shape == (37, 53)
    with pytest.raises(DataError, match="expected 0 to 1000"):
        Predictor(model)(image * 2)
