"""CrossEntropy against PyTorch and against a plain loop over pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import ResizeLike
from kseg.losses import CrossEntropy
from kseg.ops.strips import taps

WEIGHTS = (0.5, 2.0, 1.0, 3.0)


def pixels(shape=(2, 5, 7), classes=4, ignored=0.3, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, shape).astype("uint8")
    labels[random.random(shape) < ignored] = 255
    return labels, random.normal(size=(*shape, classes)).astype("float32") * 3


def loop(labels, logits, ignore_label=255):
    """The cross-entropy and label of each valid pixel."""
    found = []
    for where in np.ndindex(labels.shape):
        label = int(labels[where])
        if label == ignore_label:
            continue
        row = logits[where].astype("float64")
        found.append((np.log(np.sum(np.exp(row - row.max()))) + row.max() - row[label], label))
    return np.array(found)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
@pytest.mark.parametrize("trailing", [False, True])
def test_mean_over_valid_pixels(dtype, trailing):
    labels, logits = pixels()
    given = labels.astype(dtype)[..., None] if trailing else labels.astype(dtype)
    np.testing.assert_allclose(CrossEntropy()(given, logits), loop(labels, logits)[:, 0].mean(), rtol=1e-5)


def test_sum_and_class_weights():
    labels, logits = pixels()
    each = loop(labels, logits)
    weights = np.array(WEIGHTS)[each[:, 1].astype(int)]
    np.testing.assert_allclose(CrossEntropy(reduction="sum")(labels, logits), each[:, 0].sum(), rtol=1e-5)
    got = CrossEntropy(class_weights=WEIGHTS)(labels, logits)
    np.testing.assert_allclose(got, (weights * each[:, 0]).sum() / weights.sum(), rtol=1e-5)
    got = CrossEntropy(class_weights=WEIGHTS, reduction="sum")(labels, logits)
    np.testing.assert_allclose(got, (weights * each[:, 0]).sum(), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_valid_is_zero(reduction):
    _, logits = pixels()
    labels = np.full(logits.shape[:3], 255, "uint8")
    np.testing.assert_array_equal(CrossEntropy(reduction=reduction)(labels, logits), 0.0)
    loss = CrossEntropy(reduction=reduction, ohem_fraction=0.5)
    np.testing.assert_array_equal(loss(labels, logits), 0.0)


def test_another_ignore_label_and_none():
    labels, logits = pixels(ignored=0)
    np.testing.assert_allclose(
        CrossEntropy(ignore_label=2)(labels, logits), loop(labels, logits, 2)[:, 0].mean(), rtol=1e-5
    )
    np.testing.assert_allclose(
        CrossEntropy(ignore_label=None)(labels, logits), loop(labels, logits)[:, 0].mean(), rtol=1e-5
    )


def test_half_precision_logits_are_summed_in_float32():
    logits = np.zeros((1, 300, 300, 2), "float16")
    loss = CrossEntropy(reduction="sum")(np.zeros((1, 300, 300)), logits)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    np.testing.assert_allclose(loss, 90000 * np.log(2), rtol=1e-5)  # above float16's 65504, beyond its digits


def test_ohem_fraction_keeps_the_hardest():
    labels, logits = pixels(ignored=0.2)
    each = np.sort(loop(labels, logits)[:, 0])[::-1]
    kept = int(np.ceil(0.25 * len(each)))
    np.testing.assert_allclose(
        CrossEntropy(ohem_fraction=0.25)(labels, logits), each[:kept].mean(), rtol=1e-5
    )
    np.testing.assert_allclose(
        CrossEntropy(ohem_fraction=0.01, ohem_min_kept=20)(labels, logits), each[:20].mean(), rtol=1e-5
    )


def test_ohem_threshold_on_probability():
    labels, logits = pixels(ignored=0.2)
    each = np.sort(loop(labels, logits)[:, 0])[::-1]
    hard = each[np.exp(-each) < 0.1]
    assert 5 < len(hard) < len(each)
    np.testing.assert_allclose(CrossEntropy(ohem_threshold=0.1)(labels, logits), hard.mean(), rtol=1e-5)
    more = len(hard) + 7
    np.testing.assert_allclose(
        CrossEntropy(ohem_threshold=0.1, ohem_min_kept=more)(labels, logits), each[:more].mean(), rtol=1e-5
    )


@pytest.mark.parity
def test_label_smoothing_is_torchs():
    torch = pytest.importorskip("torch")
    labels, logits = pixels()
    truth = torch.tensor(labels.astype(np.int64))
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits).permute(0, 3, 1, 2), truth, ignore_index=255, label_smoothing=0.2
    )
    loss = CrossEntropy(label_smoothing=0.2)
    np.testing.assert_allclose(loss(labels, logits), float(expected), rtol=1e-5)
    assert loss.for_validation().label_smoothing == 0.2
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropy(label_smoothing=1.0)


def test_sampling_keeps_about_its_share_and_differs_each_time():
    labels, logits = np.zeros((1, 100, 100)), np.zeros((1, 100, 100, 2), "float32")
    loss = CrossEntropy(sampling=0.25, reduction="sum", seed=1)
    first, second = (float(loss(labels, logits)) / np.log(2) for _ in range(2))
    assert first != second
    for kept in (first, second):  # binomial: 2500 +- 43; ten deviations
        assert abs(kept - 2500) < 430
    np.testing.assert_allclose(CrossEntropy(sampling=0.25, seed=1)(labels, logits), np.log(2), rtol=1e-5)


def test_sample_weight():
    labels, logits = pixels()
    each = [loop(labels[i : i + 1], logits[i : i + 1])[:, 0] for i in range(2)]
    expected = (3 * each[0].sum() + 0.5 * each[1].sum()) / (3 * len(each[0]) + 0.5 * len(each[1]))
    np.testing.assert_allclose(CrossEntropy()(labels, logits, [3.0, 0.5]), expected, rtol=1e-5)


@pytest.mark.parametrize("height", [5, 6])
def test_sizes_that_differ_raise_when_traced(height):
    model = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Conv2D(4, 1)])
    model.compile("sgd", CrossEntropy())
    images, labels = np.zeros((2, 5, 7, 3)), np.zeros((2, height, 7), "uint8")
    if height == 5:
        assert np.isfinite(model.train_on_batch(images, labels))
    else:
        with pytest.raises(ValueError, match="same height and width"):
            model.train_on_batch(images, labels)


def test_one_hot_labels_are_refused():
    with pytest.raises(ValueError, match="class ids"):
        CrossEntropy()(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 3)))


def test_label_outside_the_classes_is_never_dropped():
    labels, logits = pixels(ignored=0)
    labels[0, 0, 0] = 9
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(tf.errors.InvalidArgumentError, match="value of 9"):
            CrossEntropy()(labels, logits)
    elif keras.backend.backend() == "torch":
        with pytest.raises((RuntimeError, IndexError), match=r"num_classes|out of bounds"):
            CrossEntropy()(labels, logits)
    else:
        assert np.isnan(CrossEntropy()(labels, logits))
    # What backends that do not raise are left with.
    assert np.isnan(CrossEntropy().weights_of_pixels(labels, 4)[0, 0, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"reduction": "none"},
        {"sampling": 0},
        {"ohem_fraction": 1.5},
        {"ohem_fraction": 0.5, "ohem_threshold": 0.5},
    ],
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=r"ohem|sampling|reduction"):
        CrossEntropy(**arguments)


def test_config_round_trip():
    loss = CrossEntropy(7, WEIGHTS, 0.3, None, 11, 0.9, "sum", 5, "mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is CrossEntropy
    assert again.get_config() == loss.get_config()
    assert again.get_config()["ohem_min_kept"] == 11
    labels, logits = pixels()
    labels[labels == 255] = 7
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))


@pytest.mark.parity
@pytest.mark.tensorflow
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient_equal_pytorch(weights, reduction):
    torch = pytest.importorskip("torch")
    labels, logits = pixels((3, 9, 11))
    theirs = torch.tensor(logits.transpose(0, 3, 1, 2), requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        theirs,
        torch.tensor(labels.astype("int64")),
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=255,
        reduction=reduction,
    )
    expected.backward()
    ours = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = CrossEntropy(class_weights=weights, reduction=reduction)(labels, ours)
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        tape.gradient(loss, ours), theirs.grad.numpy().transpose(0, 2, 3, 1), atol=1e-6
    )


@pytest.mark.parametrize("channel", [False, True])
def test_the_loss_of_upsampled_scores_takes_labels_with_and_without_a_channel(channel):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    labels = rng.integers(0, 5, (2, 9, 12))
    layer = ResizeLike()
    sides = [taps(layer.positions(cells, size), cells) for cells, size in ((3, 9), (4, 12))]
    given = labels[..., None] if channel else labels
    found = CrossEntropy().of_upsampled(given, scores, *sides)
    expected = CrossEntropy()(labels, layer([scores, labels[..., None]]))
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
def test_one_channel_is_the_binary_cross_entropy(from_logits):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, (2, 5, 4, 1))
    labels = rng.choice([0, 1, 255], (2, 5, 4))
    given = np.log(p / (1 - p)) if from_logits else p
    there, q = labels != 255, p[..., 0]
    expected = -np.where(labels == 1, np.log(q), np.log(1 - q))[there].mean()
    loss = CrossEntropy(from_logits=from_logits)
    np.testing.assert_allclose(loss(labels, given.astype("float32")), expected, rtol=1e-5)
    weights = np.where(labels == 1, 3.0, 1.0)[there]
    expected = (-np.where(labels == 1, np.log(q), np.log(1 - q))[there] * weights).sum() / weights.sum()
    loss = CrossEntropy(from_logits=from_logits, class_weights=(1, 3))
    np.testing.assert_allclose(loss(labels, given.astype("float32")), expected, rtol=1e-5)
