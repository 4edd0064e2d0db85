"""Strip by strip against the whole map, enlarged by the layers that models end in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import ResizeLike, ZoomLike
from kseg.losses import CrossEntropy
from kseg.ops.strips import STRIP, taps, upsampled_class_ids, upsampled_cross_entropy

pytestmark = pytest.mark.tensorflow
CLASSES = 5
LAYERS = [ResizeLike(), ResizeLike(align_corners=True), ZoomLike(8)]
SIZES = [(41, 33), (7, 9), (8, 17), (35, 64), (1, 1)]


def case(size, seed=0):
    rng = np.random.default_rng(seed)
    cells = [-(-side // 8) for side in size]
    scores = tf.constant(rng.normal(0, 3, (2, *cells, CLASSES)), tf.float32)
    return scores, tf.constant(rng.integers(0, CLASSES, (2, *size)), tf.int32)


def sides(layer, scores, labels):
    pairs = zip(scores.shape[1:3], labels.shape[1:3], strict=True)
    return [taps(layer.positions(cells, size), cells) for cells, size in pairs]


def whole(layer, scores, labels):
    return layer([scores, tf.zeros((*labels.shape, 1))])


def test_taps_by_hand():
    low, high, weight = (np.asarray(values) for values in taps(np.array([-0.5, 0.0, 1.25, 2.0, 2.5], "f"), 3))
    np.testing.assert_array_equal(low, [0, 0, 1, 2, 2])
    np.testing.assert_array_equal(high, [1, 1, 2, 2, 2])
    np.testing.assert_allclose(weight, [0, 0, 0.25, 0, 0])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("size", SIZES)
def test_losses_gradient_and_classes_are_those_of_the_whole_map(layer, size):
    scores, labels = case(size)
    rows, columns = sides(layer, scores, labels)
    upstream = tf.constant(np.random.default_rng(1).normal(size=(2, *size)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(scores)
        found = upsampled_cross_entropy(labels, scores, rows, columns)
        logits = whole(layer, scores, labels)
        expected = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        totals = [tf.reduce_sum(losses * upstream) for losses in (found, expected)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [tape.gradient(total, scores) for total in totals]
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)
    ids = np.asarray(upsampled_class_ids(scores, rows, columns))
    top = np.sort(np.asarray(logits), -1)
    clear = top[..., -1] - top[..., -2] > 1e-4  # rounding decides elsewhere
    np.testing.assert_array_equal(ids[clear], np.asarray(logits).argmax(-1)[clear])
    assert size[0] < STRIP or clear.mean() > 0.99


def test_sizes_that_only_the_graph_knows():
    layer = ZoomLike(8)
    free = [
        tf.TensorSpec((None, None, None, CLASSES), tf.float32),
        tf.TensorSpec((None, None, None), tf.int32),
    ]

    @tf.function(input_signature=free)
    def gradient(scores, labels):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            cells, size = tf.shape(scores), tf.shape(labels)
            parts = [taps(layer.positions(cells[i], size[i]), cells[i]) for i in (1, 2)]
            loss = tf.reduce_sum(upsampled_cross_entropy(labels, scores, *parts))
        return tape.gradient(loss, scores)

    for size in SIZES[:2]:
        scores, labels = case(size, seed=2)
        with tf.GradientTape() as tape:
            tape.watch(scores)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, whole(layer, scores, labels))
            total = tf.reduce_sum(losses)
        np.testing.assert_allclose(
            gradient(scores, labels), tape.gradient(total, scores), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_weights": (1, 2, 0.5, 3, 1)},
        {"ohem_fraction": 0.3},
        {"ignore_label": 4, "reduction": "sum"},
    ],
)
def test_the_loss_is_that_of_the_enlarged_logits(settings):
    loss, layer = CrossEntropy(**settings), ZoomLike(8)
    scores, labels = case((41, 33))
    if not settings.get("ignore_label"):
        labels = tf.where(tf.random.stateless_uniform(labels.shape, (1, 2)) < 0.2, 255, labels)
    weight = tf.constant([0.5, 2.0])
    found = loss.of_upsampled(labels[..., None], scores, *sides(layer, scores, labels), weight)
    np.testing.assert_allclose(found, loss(labels, whole(layer, scores, labels), weight), rtol=1e-5)
    labels = tf.fill(labels.shape, 99)
    with pytest.raises(tf.errors.InvalidArgumentError):
        loss.of_upsampled(labels, scores, *sides(layer, scores, labels))
