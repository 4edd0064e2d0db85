"""Every Keras metric against scikit-learn, over several updates."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.metrics import BoundaryF1, ConfusionMatrix, Dice, IoU, MeanIoU, PixelAccuracy

NAMES = ["ground", "road", "car", "never"]


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics")


def batches(ignore_label, weights, *, count=3):
    """Labels, logits and weights; class 3 is in neither labels nor predictions, 9 % of the labels are ignored."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        labels = rng.integers(0, 3, (2, 11, 13))
        if ignore_label is not None:
            labels = np.where(rng.random(labels.shape) < 0.09, ignore_label, labels)
        logits = rng.normal(size=(*labels.shape, 4)).astype("float32")
        logits += 2 * (labels[..., None] == np.arange(4))
        logits[..., 3] = -9
        kinds = {"none": None, "image": np.array([1.0, 0.0]), "pixel": rng.integers(0, 2, labels.shape)}
        yield labels, logits, kinds[weights]


def flat(data, ignore_label):
    """What scikit-learn takes: true and predicted ids, and a weight for each."""
    truths, found, weights = [], [], []
    for labels, logits, weight in data:
        each = np.ones(labels.shape) if weight is None else weight
        each = each[:, None, None] * np.ones(labels.shape) if each.ndim == 1 else each
        truths.append(labels.ravel())
        found.append(logits.argmax(-1).ravel())
        weights.append((each * (labels != ignore_label)).ravel())
    return np.concatenate(truths), np.concatenate(found), np.concatenate(weights)


@pytest.mark.parametrize("weights", ["none", "image", "pixel"])
@pytest.mark.parametrize("ignore_label", [255, 0, None])
def test_classes_that_exclude_each_other(sklearn, ignore_label, weights):
    data = list(batches(ignore_label, weights))
    true, found, weight = flat(data, ignore_label)
    metrics = [ConfusionMatrix(4, ignore_label), MeanIoU(4, ignore_label), PixelAccuracy(4, ignore_label)]
    metrics += [IoU(NAMES, ignore_label), Dice(NAMES, ignore_label)]
    for metric in metrics:
        metric.update_state(*next(batches(ignore_label, weights)))
        metric.reset_state()  # what was seen before does not count
        for batch in data:
            metric.update_state(*batch)
    matrix, mean, accuracy, iou, dice = (metric.result() for metric in metrics)
    kept = weight > 0
    true, found = true[kept], found[kept]
    np.testing.assert_array_equal(matrix, sklearn.confusion_matrix(true, found, labels=range(4)))
    present = sorted({*true, *found})
    jaccard = sklearn.jaccard_score(true, found, labels=present, average=None)
    f1 = sklearn.f1_score(true, found, labels=present, average=None)
    assert float(mean) == pytest.approx(jaccard.mean(), abs=1e-6)
    assert float(accuracy) == pytest.approx(sklearn.accuracy_score(true, found), abs=1e-6)
    for logged, name, expected in ((iou, "iou", jaccard), (dice, "dice", f1)):
        assert float(logged[name]) == pytest.approx(expected.mean(), abs=1e-6)
        for label, value in zip(present, expected, strict=True):
            assert float(logged[f"{name}_{NAMES[label]}"]) == pytest.approx(value, abs=1e-6)
        assert np.isnan(float(logged[f"{name}_never"]))


@pytest.mark.parametrize("weights", ["none", "image", "pixel"])
@pytest.mark.parametrize(("from_logits", "threshold"), [(True, 0.5), (True, 0.8), (False, 0.3)])
def test_one_class(sklearn, from_logits, threshold, weights):
    rng = np.random.default_rng(1)
    kept = {"none": None, "image": np.array([0, 1, 1]), "pixel": rng.integers(0, 2, (3, 9, 8, 1))}[weights]
    metrics = [
        IoU(["road"], from_logits=from_logits, threshold=threshold),
        Dice(1, None, "dice", None, from_logits, threshold),
    ]
    metrics += [kind(1, from_logits=from_logits, threshold=threshold) for kind in (MeanIoU, PixelAccuracy)]
    seen = [], []
    for _ in range(2):
        labels, chance = (
            rng.integers(0, 2, (3, 9, 8, 1)),
            rng.uniform(0.01, 0.99, (3, 9, 8, 1)).astype("float32"),
        )
        values = np.log(chance / (1 - chance)) if from_logits else chance
        for metric in metrics:
            metric.update_state(labels, values, kept)
        each = (
            np.ones(labels.shape) if kept is None else kept if kept.ndim == 4 else kept[:, None, None, None]
        )
        where = np.broadcast_to(each, labels.shape) > 0
        seen[0].append(labels[where])
        seen[1].append(chance[where] > threshold)
    true, found = (np.concatenate(part) for part in seen)
    iou, dice, mean, accuracy = (metric.result() for metric in metrics)
    jaccard = sklearn.jaccard_score(true, found, average=None)
    assert float(iou["iou_road"]) == pytest.approx(jaccard[1], abs=1e-6)
    assert float(iou["iou"]) == float(mean) == pytest.approx(jaccard.mean(), abs=1e-6)
    assert float(dice["dice_class_1"]) == pytest.approx(sklearn.f1_score(true, found), abs=1e-6)
    assert float(accuracy) == pytest.approx(sklearn.accuracy_score(true, found), abs=1e-6)


@pytest.mark.parametrize("weights", ["none", "image", "pixel"])
@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_classes_that_overlap(sklearn, weights, threshold):
    rng = np.random.default_rng(2)
    kept = {"none": None, "image": np.array([0, 1]), "pixel": rng.integers(0, 2, (2, 9, 8))}[weights]
    iou, dice = (kind(NAMES[:3], mode="multilabel", threshold=threshold) for kind in (IoU, Dice))
    seen = [], [], []
    for _ in range(3):
        labels, logits = (
            rng.choice([0, 0, 1, 255], (2, 9, 8, 3)),
            rng.normal(size=(2, 9, 8, 3)).astype("float32"),
        )
        labels[..., 2], logits[..., 2] = 0, -9
        for metric in (iou, dice):
            metric.update_state(labels, logits, kept)
        each = np.ones((2, 9, 8)) if kept is None else kept if kept.ndim == 3 else kept[:, None, None]
        for part, values in zip(
            seen, (labels, 1 / (1 + np.exp(-logits)) > threshold, labels * 0 + each[..., None]), strict=True
        ):
            part.append(values.reshape(-1, 3))
    true, found, weight = (np.concatenate(part) for part in seen)
    for metric, name, score in ((iou, "iou", sklearn.jaccard_score), (dice, "dice", sklearn.f1_score)):
        logged, expected = metric.result(), []
        for index in range(2):
            valid = (true[:, index] != 255) & (weight[:, index] > 0)
            expected.append(score(true[valid, index], found[valid, index]))
            assert float(logged[f"{name}_{NAMES[index]}"]) == pytest.approx(expected[-1], abs=1e-6)
        assert np.isnan(float(logged[f"{name}_{NAMES[2]}"]))  # in neither truth nor prediction
        assert float(logged[name]) == pytest.approx(np.mean(expected), abs=1e-6)


def contour(mask):
    """Pixels of a mask with a neighbour above, below, left or right that is outside of it; the frame is none."""
    inside = np.pad(mask, 1, constant_values=True)
    return mask & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])


@pytest.mark.parametrize("weights", ["none", "image"])
def test_boundaries_that_must_meet_exactly(sklearn, weights):
    """At distance 0 the measure is scikit-learn's F1 of the contours' pixels, averaged over classes, then images."""
    rng, kept = np.random.default_rng(3), None if weights == "none" else np.array([1, 0, 1])
    metric, scores = BoundaryF1(3, distance=0.0), []
    for _ in range(2):
        labels = np.kron(rng.integers(0, 3, (3, 5, 5)), np.ones((4, 4), int))
        found = np.where(rng.random(labels.shape) < 0.05, 2, labels)
        metric.update_state(labels, found, kept)
        for image in range(3):
            if kept is not None and not kept[image]:
                continue
            pairs = [
                (contour(labels[image] == c), contour(found[image] == c)) for c in np.unique(labels[image])
            ]
            scores.append(np.mean([sklearn.f1_score(a.ravel(), b.ravel()) for a, b in pairs]))
    assert float(metric.result()) == pytest.approx(np.mean(scores), abs=1e-6)


@pytest.mark.parametrize("kind", [MeanIoU, PixelAccuracy, IoU, Dice, BoundaryF1])
def test_weights_that_are_no_choice_make_nan(kind):
    metric = kind(2)
    metric.update_state(np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.5))
    value = metric.result()
    assert np.isnan(float(next(iter(value.values())) if isinstance(value, dict) else value))


def test_weighted_metrics_of_keras():
    """In `compile(weighted_metrics=)` a weight of 0 leaves a pixel out; `metrics=` count it."""
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.Identity()(image))
    model.compile(
        loss="mse", metrics=[PixelAccuracy(2, name="all")], weighted_metrics=[PixelAccuracy(2, name="some")]
    )
    labels = np.tri(4, dtype="int32")[None]
    scores = np.stack([0 * labels + 0.5, np.tri(4, k=1)[None]], axis=-1).astype("float32")
    weights = (np.abs(np.subtract.outer(range(4), range(4))) != 1)[None].astype("float32")
    logged = model.evaluate(
        scores, labels[..., None], sample_weight=weights[..., None], verbose=0, return_dict=True
    )
    assert logged["some"] == 1
    assert logged["all"] == pytest.approx(13 / 16)


def test_nothing_counted_is_nought_everywhere_and_one_absent_class_is_nan():
    """As every metric of Keras is before the first batch, and as torchmetrics' and scikit-learn's of nothing are."""
    labels, logits = np.full((1, 4, 5), 255), np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype("float32")
    for metric in (MeanIoU(2), PixelAccuracy(2), BoundaryF1(2), IoU(["a", "b"]), Dice(["a", "b"])):
        for ignored in (False, True):
            if ignored:
                metric.update_state(labels, logits)
            found = metric.result()
            values = list(found.values()) if isinstance(found, dict) else [found]
            np.testing.assert_array_equal(np.array(values, float), 0.0)
    overlapping = Dice(["a", "b"], mode="multilabel")
    masks = np.stack([labels, labels * 0 + 1], -1)
    overlapping.update_state(np.full_like(masks, 255), logits)
    assert {float(value) for value in overlapping.result().values()} == {0.0}
    overlapping.update_state(masks, np.abs(logits))
    found = {name: float(value) for name, value in overlapping.result().items()}
    assert np.isnan(found["dice_a"])
    assert found["dice_b"] == found["dice"] == 1.0


@pytest.mark.parametrize("kind", [ConfusionMatrix, MeanIoU, PixelAccuracy, BoundaryF1])
def test_names_where_their_number_is_needed(kind):
    says = r"`num_classes` must be a whole number from 1 on, as len\(names\) is; got \['a', 'b'\]"
    with pytest.raises(SettingsError, match=says):
        kind(["a", "b"])
