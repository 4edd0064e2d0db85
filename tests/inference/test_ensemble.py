import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.inference import Ensemble, Predictor


class Fixed:
    """A predictor of known probabilities."""

    label_dtype = np.uint8

    def __init__(self, probabilities, classes=None):
        self.values = np.asarray(probabilities, np.float32)
        self.num_classes = self.values.shape[-1]
        self.model = type("Model", (), {"classes": classes})()

    def probabilities(self, image, progress=None):
        if progress is not None:
            progress(1, 4)
        return self.values


IMAGE = np.zeros((1, 2, 3), np.uint8)
A = Fixed([[[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]])
B = Fixed([[[0.1, 0.6, 0.3], [0.0, 0.0, 1.0]]])


def test_mean():
    expected = [[[0.4, 0.4, 0.2], [0.25, 0.25, 0.5]]]
    found = Ensemble([A, B]).probabilities(IMAGE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(Ensemble([A, B])(IMAGE)[:, 1], [2])


def test_product():
    """0.07 : 0.12 : 0.03, and a pixel on which the members exclude every class between them."""
    expected = [[[7 / 22, 12 / 22, 3 / 22], [1 / 3, 1 / 3, 1 / 3]]]
    ensemble = Ensemble([A, B], mode="product")
    np.testing.assert_allclose(ensemble.probabilities(IMAGE), expected, rtol=1e-6)
    assert ensemble(IMAGE).dtype == np.uint8
    np.testing.assert_array_equal(ensemble(IMAGE), [[1, 0]])


def test_members_count_alike_and_nest():
    mean = Ensemble([A, A, B]).probabilities(IMAGE)
    np.testing.assert_allclose(mean, (2 * A.values + B.values) / 3, rtol=1e-6)
    nested = Ensemble([Ensemble([A, B]), B]).probabilities(IMAGE)
    np.testing.assert_allclose(nested, (A.values + 3 * B.values) / 4, rtol=1e-6)


def test_crf_comes_after_the_combination():
    seen = []

    def crf(image, probabilities):
        seen.append(probabilities)
        return probabilities[..., ::-1]

    found = Ensemble([A, B], crf=crf).probabilities(IMAGE)
    np.testing.assert_allclose(seen[0], (A.values + B.values) / 2, rtol=1e-6)
    np.testing.assert_array_equal(found, seen[0][..., ::-1])


def test_of_one_model_twice_it_is_that_model():
    image = keras.Input((None, None, 3))
    predictor = Predictor(keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image / 255)))
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    ensemble = Ensemble([predictor, predictor])
    np.testing.assert_allclose(ensemble.probabilities(picture), predictor.probabilities(picture), atol=1e-6)
    np.testing.assert_array_equal(ensemble.batch(picture[None])[0], predictor(picture))
    assert ensemble.model is predictor.model


def test_progress():
    seen = []
    Ensemble([A, B]).probabilities(IMAGE, lambda *at: seen.append(at))
    assert seen == [(0.25, 2), (1, 2), (1.25, 2), (2, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([A, B], "max"), "mean or product"),
        (([A],), "at least 2"),
        (([A, Fixed(np.ones((1, 2, 4)))],), "share their classes"),
        (([Fixed(A.values, ("a", "b", "c")), Fixed(A.values, ("a", "c", "b"))],), "share their classes"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(SettingsError, match=message):
        Ensemble(*arguments)
