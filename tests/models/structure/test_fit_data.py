"""What Keras's `fit` is given: each mistake is one sentence, and what is right goes through."""

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import DataError, KsegError, KsegWarning, SettingsError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
Y = RNG.integers(0, 3, (4, 32, 32), dtype=np.uint8)
Y[0, :3] = 255
WRONG = np.where(np.arange(4)[:, None, None] == 2, 7, Y)


def network(loss=None, num_classes=3):
    backbone = kseg.backbones.VGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16")
    model = kseg.models.FCN(backbone, num_classes, stride=32)
    model.compile("sgd", loss or kseg.losses.CrossEntropy(), metrics=None)
    return model


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, Y),
        (X.astype("float32"), Y.astype("float32")),
        pytest.param(X, Y[..., None], marks=pytest.mark.full),
        pytest.param(X, Y.astype("int64"), marks=pytest.mark.full),
        (X * 0, Y),
    ],
)
def test_right_data_trains(model, x, y):
    assert np.isfinite(model.fit(x, y, batch_size=2, verbose=0).history["loss"][0])
    assert np.isfinite(model.evaluate(x, y, batch_size=2, verbose=0))


EIGHT = kseg.data.as_dataset((X, WRONG), classes=8)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (X, np.eye(3, dtype="uint8")[Y % 3], r"one-hot labels np\.argmax"),
        (
            X,
            WRONG,
            "sample 2: class id 7 in the mask, but the model has the classes 0 to 2, and 255 for ignored",
        ),
        (X, Y.astype(int) - 1, "sample 0: class id 254|sample 0: class id -1"),
        (X, np.where(Y == 2, 1.5, Y), r"class id 1\.5"),
        (X, np.where(Y == 2, np.nan, Y), "class id nan"),
        (X / 255, Y, "from 0 to 1, where 0 to 255 is expected"),
        (np.where(np.arange(4)[:, None, None, None] == 3, np.nan, X), Y, "sample 3: the image has NaN"),
        (X.transpose(0, 3, 1, 2), Y, "channels come last"),
        (X, Y[:, :16], r"32x32 pixels .* masks 16x32"),
        (X, Y[:3], "4 images but 3 masks"),
        (X[..., 0], Y, r"images of shape \(4, 32, 32\)"),
        (list(X), list(Y), r"np\.stack"),
        (kseg.data.from_arrays(X, Y % 3), None, r"kseg\.data\.Loader"),
        (kseg.data.Loader(EIGHT, batch_size=2), None, "has 8 classes, the model 3: build .* classes=3"),
    ],
)
def test_each_mistake_is_one_sentence(model, x, y, says):
    for call in (model.fit, model.evaluate):
        with pytest.raises(KsegError, match=says) as caught:
            call(x, y, verbose=0)
        assert "\n" not in str(caught.value)
    with pytest.raises(KsegError, match=f"validation data: .*({says})"):
        model.fit(X, Y, validation_data=x if y is None else (x, y), verbose=0)


def test_a_bad_sample_of_a_loader_is_named(model):
    dataset = kseg.data.from_arrays(X, WRONG, classes=3)
    with pytest.raises(DataError, match=r"^arrays_00002: class id 7 in the mask"):
        model.fit(kseg.data.Loader(dataset, batch_size=2), verbose=0)


@pytest.mark.tensorflow
def test_tensorflows_data(model):
    import tensorflow as tf

    def stream(x, y):
        return tf.data.Dataset.from_tensor_slices((x, y))

    assert np.isfinite(model.fit(stream(X, Y).batch(2), verbose=0).history["loss"][0])
    for data, says in (
        (stream(X, np.eye(3)[Y % 3]).batch(2), "one-hot"),
        (stream(X, WRONG).batch(2), "class id 7 in a mask"),
        (stream(X, Y), r"give \.batch"),
        (stream(X.transpose(0, 3, 1, 2), Y).batch(2), "channels come last"),
        (stream(X / 255, Y).batch(2), "the first batch, image values from 0 to 1"),
        (stream(X, Y[:, :16]).batch(2), "32x32 pixels .* masks 16x32"),
    ):
        with pytest.raises(DataError, match=says) as caught:
            model.fit(data, verbose=0)
        assert "\n" not in str(caught.value)
    rows = iter([(X / 255, Y)])
    once = tf.data.Dataset.from_generator(lambda: rows, (tf.uint8, tf.uint8))  # nothing is taken from it
    once = once.map(lambda x, y: (tf.ensure_shape(x, X.shape), tf.ensure_shape(y, Y.shape)))
    assert np.isfinite(model.fit(once, verbose=0).history["loss"][0])


@pytest.mark.full
def test_labels_of_other_losses_are_their_own_business():
    """Several classes a pixel, and a loss of one's own."""
    several = network(kseg.losses.Dice(mode="multilabel"))
    several.fit(X, np.eye(3, dtype="uint8")[Y % 3], verbose=0)
    hot = network(keras.losses.CategoricalCrossentropy(from_logits=True))
    hot.fit(X, np.eye(3, dtype="float32")[Y % 3], verbose=0)


def test_images_of_a_network_that_normalises_nothing_may_have_any_range():
    image = keras.Input((None, None, 3))
    deepest = keras.layers.Conv2D(4, 3, padding="same", name="conv")(image)
    backbone = kseg.backbones.Backbone(image, {"stage1": deepest})
    logits = keras.layers.Conv2D(3, 1, dtype="float32", name="score")(deepest)
    model = kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=3)
    model.compile("sgd", kseg.losses.CrossEntropy(), metrics=None)
    assert np.isfinite(model.fit(X / 255, Y, verbose=0).history["loss"][0])


def test_class_weights_belong_to_the_loss(model):
    with pytest.raises(SettingsError, match=r"CrossEntropy\(class_weights"):
        model.fit(X, Y, class_weight={0: 1.0}, verbose=0)


def test_other_errors_stay_what_they_are(model):
    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, callbacks=[Fails()], verbose=0)


def test_masks_in_black_and_white_would_teach_nothing():
    model, white = network(num_classes=2), np.where(Y == 1, 255, 0).astype(np.uint8)
    with pytest.raises(DataError, match=r"only 0 and 255, and 255 is ignored: .* give masks // 255"):
        model.fit(X, white, verbose=0)
    with pytest.raises(DataError, match="only 0 and 255"):
        model.fit(X, white.astype("float32")[..., None], verbose=0)
    with pytest.warns(KsegWarning, match="class 0 alone is scored"):
        assert np.isfinite(model.evaluate(X, white, verbose=0))
    with pytest.warns(KsegWarning, match="class 0 alone is scored"):
        found = model.fit(X, white // 255, validation_data=(X, white), verbose=0)
    assert np.isfinite(found.history["loss"][0])
