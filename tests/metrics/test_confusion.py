"""The Keras metrics against the NumPy functions and plain counting."""

import keras
import numpy as np
import pytest

from kseg import metrics
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix, MeanIoU


def batch(seed, classes=4, shape=(2, 9, 11)):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, shape).astype("uint8")
    labels[random.random(shape) < 0.25] = 255
    return labels, random.normal(size=(*shape, classes)).astype("float32")


def test_counts_accumulate_over_batches():
    metric, score, expected = ConfusionMatrix(4), MeanIoU(4), np.zeros((4, 4), int)
    for seed in range(3):
        labels, logits = batch(seed)
        metric.update_state(labels, logits)
        score.update_state(labels[..., None].astype("float32"), logits)
        for true, predicted in zip(labels.ravel(), logits.argmax(-1).ravel(), strict=True):
            if true != 255:
                expected[true, predicted] += 1
    np.testing.assert_array_equal(metric.result(), expected)
    np.testing.assert_allclose(score.result(), metrics.mean_iou(expected), rtol=1e-6)
    metric.reset_state()
    np.testing.assert_array_equal(metric.result(), np.zeros((4, 4)))


def test_class_ids_as_predictions():
    labels, logits = batch(0)
    one, other = ConfusionMatrix(4), ConfusionMatrix(4)
    one.update_state(labels, logits)
    other.update_state(labels, logits.argmax(-1))
    np.testing.assert_array_equal(one.result(), other.result())


def test_absent_classes_are_left_out():
    score = MeanIoU(7)
    score.update_state(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 0, 0, 1]]]))
    np.testing.assert_allclose(score.result(), (2 / 3 + 1 / 2) / 2, rtol=1e-6)


def test_counting_goes_on_above_two_to_the_24():
    metric = ConfusionMatrix(2)
    metric.counts.assign(np.array([[2**24, 0], [0, 2**30]]))
    metric.update_state(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    np.testing.assert_array_equal(metric.result(), [[2**24 + 3, 0], [0, 2**30]])


@pytest.mark.parametrize(("label", "predicted"), [(4, 0), (-1, 0), (0, 4)])
def test_ids_outside_the_classes_poison_the_result(label, predicted):
    metric, score = ConfusionMatrix(4), MeanIoU(4)
    for each in (metric, score):
        each.update_state(np.array([[[0, 1, label, 255]]]), np.array([[[0, 1, predicted, 9]]]))
    assert int(metric.unknown) == 1
    np.testing.assert_array_equal(metric.result(), np.full((4, 4), -1))
    assert np.isnan(score.result())


def test_255_without_ignore_label_is_not_dropped():
    score = MeanIoU(2, ignore_label=None)
    score.update_state(np.array([[[0, 1, 255]]]), np.array([[[0, 1, 1]]]))
    assert np.isnan(score.result())


def test_in_compile_and_evaluate():
    model = keras.Sequential([keras.Input((9, 11, 4)), keras.layers.Identity()])
    model.compile(loss=CrossEntropy(), metrics=[MeanIoU(4)])
    labels, logits = batch(5)
    got = model.evaluate(logits, labels, batch_size=1, return_dict=True, verbose=0)
    expected = metrics.mean_iou(metrics.confusion_matrix(labels, logits.argmax(-1), 4))
    np.testing.assert_allclose(got["mean_iou"], expected, rtol=1e-6)


def test_wrong_shapes_raise():
    with pytest.raises(ValueError, match="3 channels for 4 classes"):
        MeanIoU(4).update_state(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 3)))
    with pytest.raises(ValueError, match=r"sample_weight.* got \(1, 2, 2, 3\) for labels \(1, 2, 2\)"):
        MeanIoU(4).update_state(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), np.ones((1, 2, 2, 3)))
    with pytest.raises(ValueError, match="of one-hot labels take the argmax"):
        MeanIoU(4).update_state(np.zeros((1, 2, 2, 4)), np.zeros((1, 2, 2, 4)))


@pytest.mark.parametrize("kind", [ConfusionMatrix, MeanIoU])
def test_config_round_trip(kind):
    metric = kind(3, ignore_label=7, name="other")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is kind
    assert again.get_config() == metric.get_config()
    again.update_state(np.array([[[0, 7, 2]]]), np.array([[[0, 1, 2]]]))
    np.testing.assert_array_equal(again.counts, np.diag([1, 0, 1]))
