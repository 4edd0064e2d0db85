"""IoU of classes against scikit-learn's definition written out, in Keras's fit and its callbacks."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix, Dice, IoU, MeanIoU, PixelAccuracy


def counted(labels, found, wanted):
    """Intersection and union of one class by plain comparison, where the label is not 255."""
    there = labels != 255
    true, predicted = (labels == wanted) & there, (found == wanted) & there
    return (true & predicted).sum(), (true | predicted).sum()


def test_every_class_has_its_name():
    rng = np.random.default_rng(0)
    metric = IoU(classes=["sky", "main road", "car"])
    labels = rng.choice([0, 1, 255], (3, 7, 5))
    logits = rng.normal(size=(3, 7, 5, 3)).astype("float32")
    logits[..., 2] = -9
    for number in range(3):
        metric.update_state(labels[number : number + 1], logits[number : number + 1])
    found = {name: float(value) for name, value in metric.result().items()}
    expected = [hit / union for hit, union in (counted(labels, logits.argmax(-1), c) for c in (0, 1))]
    np.testing.assert_allclose([found["iou_sky"], found["iou_main_road"]], expected, rtol=1e-6)
    assert np.isnan(found["iou_car"])
    np.testing.assert_allclose(found["iou"], np.mean(expected), rtol=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_one_channel_is_class_1_above_the_threshold(from_logits):
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.99, (2, 6, 5, 1)).astype("float32")
    labels = rng.choice([0, 1, 255], (2, 6, 5))
    given = np.log(p / (1 - p)) if from_logits else p
    for threshold in (0.5, 0.8):
        metric = IoU(["road"], from_logits=from_logits, threshold=threshold)
        metric.update_state(labels, given)
        hit, union = counted(labels, (p[..., 0] > threshold).astype(int), 1)
        np.testing.assert_allclose(metric.result()["iou_road"], hit / union, rtol=1e-5)
        mean = MeanIoU(1, from_logits=from_logits, threshold=threshold)
        mean.update_state(labels, given)
        np.testing.assert_allclose(mean.result(), metric.result()["iou"], rtol=1e-6)


def test_several_labels_a_pixel():
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 1, 255], (2, 6, 5, 3))
    logits = rng.normal(size=(2, 6, 5, 3)).astype("float32")
    metric = IoU(3, mode="multilabel")
    metric.update_state(labels, logits)
    for channel in range(3):
        hit, union = counted(labels[..., channel], (logits[..., channel] > 0).astype(int), 1)
        np.testing.assert_allclose(metric.result()[f"iou_class_{channel}"], hit / union, rtol=1e-6)
    metric.update_state(np.full((1, 2, 2, 3), 7), np.zeros((1, 2, 2, 3)))
    assert np.isnan(metric.result()["iou"])
    with pytest.raises(ValueError, match="height, width, 3"):
        metric.update_state(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 3)))


def test_what_is_refused():
    for classes in ("road", {"road", "car"}, {"car": 1, "road": 0}):
        with pytest.raises(SettingsError, match="several names in the order of their ids"):
            IoU(classes)
    with pytest.raises(SettingsError, match=r"whole number from 1 on; got 2\.5"):
        IoU(2.5)
    assert IoU(np.int32(3)).classes == ["class_0", "class_1", "class_2"]
    with pytest.raises(SettingsError, match="multiclass"):
        IoU(2, mode="binary")


def test_comes_back_from_its_config():
    for kind in (IoU, Dice):
        metric = kind(["a", "b"], 7, "mine", None, False, 0.3, "multilabel")
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert type(again) is kind
        assert again.get_config() == metric.get_config()


@pytest.mark.full
def test_callbacks_need_no_mode(tmp_path):
    """`ModelCheckpoint` and `EarlyStopping` find the direction; TensorBoard and CSV get single numbers."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    model.compile(
        "sgd", CrossEntropy(), metrics=[IoU(["ground", "road"]), Dice(2), PixelAccuracy(2), MeanIoU(2)]
    )
    x, y = np.zeros((4, 8, 8, 3), "float32"), np.tile([0, 1], (4, 8, 4))
    watched = ("val_iou", "val_iou_road", "val_dice", "val_pixel_accuracy", "val_mean_iou")
    stop = [keras.callbacks.EarlyStopping(monitor=name) for name in watched]
    keep = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor="val_iou_road", save_best_only=True
    )
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=[*stop, keep, table])
    assert set(watched) < set(history.history)
    assert all(callback.monitor_op == keras.ops.greater for callback in (*stop, keep))
    again = keras.saving.load_model(tmp_path / "best.keras")
    assert again.evaluate(x, y, verbose=0, return_dict=True).keys() >= {"iou", "iou_road", "dice_class_1"}


@pytest.mark.tensorflow
@pytest.mark.full
def test_a_confusion_matrix_breaks_no_log(tmp_path):
    from kseg import backbones, models

    model = models.FCN(backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=2), 2, stride=32)
    model.compile("sgd", CrossEntropy(), metrics=[ConfusionMatrix(2), MeanIoU(2)])
    x, y = np.zeros((2, 32, 32, 3), "float32"), np.zeros((2, 32, 32), "uint8")
    board = keras.callbacks.TensorBoard(tmp_path)
    history = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[board])
    assert sorted(history.history) == ["loss", "mean_iou", "val_loss", "val_mean_iou"]
