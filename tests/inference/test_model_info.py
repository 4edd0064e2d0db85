"""What a model takes and gives, read once from its graph, for everything that runs it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kseg.errors import KsegWarning, ModelError, SettingsError
from kseg.inference import Predictor, ProposalPredictor, inspect_model
from kseg.inference.model_info import check_rgb


def ending(end, channels=3, size=(None, None)):
    """A convolution with contrast between its channels, and what comes behind it."""
    image = keras.Input((*size, 3))
    scores = layers.Conv2D(channels, 3, padding="same", kernel_initializer="orthogonal")(image / 40)
    return keras.Model(image, end(scores)), keras.Model(image, scores)


def softmax(logits):
    powers = np.exp(np.asarray(logits, "float64") - np.max(logits, -1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class Subclassed(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.head = layers.Conv2D(classes, 1)

    def call(self, image):
        return self.head(image)


def test_batch_size_and_classes():
    model, _ = ending(lambda x: x, 5)
    info = inspect_model(model)
    assert (info.batch, info.size, info.num_classes, info.output) == (None, None, 5, "logits")
    assert inspect_model(ending(lambda x: x, size=(31, 33))[0]).size == (31, 33)
    assert inspect_model(Subclassed(6)).num_classes == 6
    fixed = keras.Input(batch_shape=(2, 8, 9, 3))
    info = inspect_model(keras.Model(fixed, layers.Conv2D(3, 1)(fixed)))
    assert (info.batch, info.size, info.num_classes) == (2, (8, 9), 3)


def not_segmenters():
    image = keras.Input((None, None, 3))
    grey = keras.Input((None, None, 1))
    half = keras.Input((32, None, 3))
    conv = layers.Conv2D(4, 1)
    return {
        "a path": ("best.keras", "str"),
        "a classifier": (keras.Model(image, layers.GlobalAveragePooling2D()(image)), "map of classes"),
        "grey": (keras.Model(grey, layers.Conv2D(4, 1)(grey)), "1 channels"),
        "a softmax over one channel": (
            keras.Model(image, layers.Conv2D(1, 1, activation="softmax")(image)),
            "1 everywhere",
        ),
        "a map without channels": (keras.Model(image, ops.max(image, -1)), "one channel per class"),
        "two outputs": (keras.Model(image, [conv(image), conv(image)]), "2 outputs"),
        "two inputs": (keras.Model([image, grey], layers.Concatenate()([image, grey])), "2 inputs"),
        "half fixed": (keras.Model(half, conv(half)), "both sides"),
    }


@pytest.mark.parametrize("case", sorted(not_segmenters()))
def test_what_is_no_segmentation_model_is_refused(case):
    model, words = not_segmenters()[case]
    with pytest.raises(ModelError, match=words):
        check_rgb(inspect_model(model))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.5)])
def test_a_softmax_is_not_taken_again(picture, flip, scales):
    """The report's case: the probabilities are those of the same network without its softmax."""
    ended, bare = ending(layers.Softmax())
    settings = {"flip": flip, "scales": scales, "window": 24}
    if scales == (1.0,):
        expected = Predictor(bare, **settings).probabilities(picture(24, 24))
        found = Predictor(ended, **settings).probabilities(picture(24, 24))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    found = Predictor(ended, **settings).probabilities(picture())
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    assert found.max() > 0.7  # a second softmax of three classes stays below e / (e + 2) = 0.58


def test_the_plain_prediction_is_the_models_own_output(picture):
    for end in (layers.Softmax(), layers.Activation("sigmoid")):
        ended, _ = ending(end)
        expected = np.asarray(ended(picture()[None].astype("float32")))[0]
        np.testing.assert_allclose(Predictor(ended).probabilities(picture()), expected, atol=1e-6)
        np.testing.assert_array_equal(Predictor(ended)(picture()), expected.argmax(-1))


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_channel_is_background_and_object(activation, picture):
    model, bare = ending(layers.Activation(activation) if activation else lambda x: x, 1)
    logit = np.asarray(bare(picture()[None].astype("float32")), "float64")[0, ..., 0]
    expected = 1 / (1 + np.exp(-logit))
    predictor = Predictor(model)
    assert predictor.num_classes == 2
    np.testing.assert_allclose(predictor.probabilities(picture())[..., 1], expected, atol=1e-6)
    np.testing.assert_array_equal(predictor(picture()), logit > 0)
    assert 0 < (logit > 0).mean() < 1  # both occur, whatever weights the backend drew


@pytest.mark.parametrize("end", ["plain", "channel", "bytes"])
def test_class_ids_are_taken_as_they_are(end, picture):
    def argmax(x):
        ids = ops.argmax(x, axis=-1)
        ids = ops.expand_dims(ids, -1) if end == "channel" else ids
        return ops.cast(ids, "uint8") if end == "bytes" else ids

    model, bare = ending(argmax, 4)
    expected = np.asarray(bare(picture()[None].astype("float32")))[0].argmax(-1)
    info = inspect_model(model)
    assert (info.output, info.num_classes) == ("labels", 4)
    np.testing.assert_array_equal(Predictor(model)(picture()), expected)
    np.testing.assert_array_equal(Predictor(model).probabilities(picture()), np.eye(4)[expected])


def test_a_coarse_map_of_probabilities_is_resized_as_probabilities(picture):
    import cv2

    def end(x):
        return layers.Softmax()(layers.AveragePooling2D(4)(x))

    ended, _ = ending(end)
    coarse = np.asarray(ended(picture(32, 40)[None].astype("float32")))[0]
    expected = cv2.resize(coarse, (40, 32), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(Predictor(ended).probabilities(picture(32, 40)), expected, atol=1e-5)


def test_the_users_word_wins(picture):
    ended, bare = ending(layers.Softmax())
    logits = np.asarray(ended(picture()[None].astype("float32")))[0]
    found = Predictor(ended, output="logits").probabilities(picture())
    np.testing.assert_allclose(found, softmax(logits), atol=1e-6)
    raw = np.asarray(bare(picture()[None].astype("float32")))[0]
    np.testing.assert_allclose(
        Predictor(bare, output="probabilities").probabilities(picture()), raw, atol=1e-4
    )
    with pytest.raises(SettingsError, match="logits, probabilities, labels"):
        Predictor(bare, output="softmax")
    with pytest.raises(SettingsError, match="3 channels"):
        Predictor(bare, output="labels")


def test_an_end_that_cannot_be_read_is_told():
    model, _ = ending(lambda x: layers.Softmax()(x) * 3)
    with pytest.warns(KsegWarning, match="taken for logits"):
        assert inspect_model(model).output == "logits"


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_proposals_of_a_model_with_softmax(picture, mode):
    """One box over the whole image: its probabilities, not their softmax."""
    ended, _ = ending(layers.Softmax())
    image = picture(32, 32)
    predictor = ProposalPredictor(
        ended, size=32, smallest=1, context=1.0, mode=mode, propose=lambda image, count: [[0, 0, 32, 32]]
    )
    expected = np.asarray(ended(image[None].astype("float32")))[0]
    np.testing.assert_allclose(predictor.probabilities(image), expected, atol=1e-5)
