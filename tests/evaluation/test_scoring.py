"""Evaluation against plain loops over pixels, and scikit-learn."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers

from kseg.errors import DataError, ModelError, SettingsError
from kseg.evaluation import evaluate
from kseg.inference import Predictor

CLASSES = ("sky", "road", "car", "person")
SIZES = ((12, 15), (12, 15), (9, 20), (12, 15), (1, 1), (30, 7))


@dataclass(frozen=True)
class Arrays:
    """A data set in memory with the interface of `kseg.data.Dataset`."""

    pairs: tuple
    classes: tuple = CLASSES
    name: str = "arrays"
    split: str = "val"
    ignore_label: int = 255

    @property
    def num_classes(self):
        return len(self.classes)

    def __len__(self):
        return len(self.pairs)

    def load(self, index):
        return self.pairs[index]

    def name_of(self, index):
        return f"image_{index}"


def arrays(sizes=SIZES, classes=4, ignored=0.1):
    rng = np.random.default_rng(0)
    pairs = []
    for size in sizes:
        labels = rng.integers(0, classes, size, dtype=np.uint8)
        labels[rng.random(size) < ignored] = 255
        pairs.append((rng.integers(0, 256, (*size, 3), dtype=np.uint8), labels))
    return Arrays(tuple(pairs))


def net(classes=4):
    image = keras.Input((None, None, 3))
    return keras.Model(
        image, layers.Conv2D(classes, 3, padding="same", bias_initializer="normal")(image / 50)
    )


def plain_predictions(model, dataset):
    return [np.asarray(model(image[None].astype("float32")))[0].argmax(-1) for image, _ in dataset.pairs]


def plain_ious(labels, predictions, classes=4):
    counted = labels != 255
    ious = np.full(classes, np.nan)
    for c in range(classes):
        t, p = (labels == c) & counted, (predictions == c) & counted
        if (t | p).any():
            ious[c] = (t & p).sum() / (t | p).sum()
    return ious


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_scores_are_those_of_plain_loops(batch_size):
    model, dataset = net(), arrays()
    report = evaluate(model, dataset, batch_size=batch_size)
    predictions = plain_predictions(model, dataset)
    labels = np.concatenate([labels.ravel() for _, labels in dataset.pairs])
    flat = np.concatenate([p.ravel() for p in predictions])
    counted = labels != 255
    expected = plain_ious(labels, flat)
    np.testing.assert_allclose(report.class_iou, expected)
    assert report.mean_iou == pytest.approx(np.nanmean(expected))
    assert report.pixel_accuracy == pytest.approx((labels == flat)[counted].mean())
    recalls = [(flat[labels == c] == c).mean() for c in range(4)]
    assert report.mean_accuracy == pytest.approx(np.mean(recalls))
    shares = np.array([(labels[counted] == c).mean() for c in range(4)])
    np.testing.assert_allclose(report.class_share, shares)
    assert report.frequency_weighted_iou == pytest.approx((shares * expected).sum())
    assert report.pixels == counted.sum()
    assert report.images == len(SIZES)
    assert report.dataset == "arrays val"


@pytest.mark.parity
def test_confusion_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    model, dataset = net(), arrays()
    labels = np.concatenate([labels.ravel() for _, labels in dataset.pairs])
    flat = np.concatenate([p.ravel() for p in plain_predictions(model, dataset)])
    kept = labels != 255
    report = evaluate(model, dataset)
    np.testing.assert_array_equal(report.confusion, metrics.confusion_matrix(labels[kept], flat[kept]))
    np.testing.assert_allclose(
        report.class_iou, metrics.jaccard_score(labels[kept], flat[kept], average=None)
    )
    assert report.mean_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels[kept], flat[kept]))


def test_worst_images():
    model, dataset = net(), arrays(((8, 8),) * 6)
    own = [
        np.nanmean(plain_ious(labels, predicted))
        for (_, labels), predicted in zip(dataset.pairs, plain_predictions(model, dataset), strict=True)
    ]
    worst = evaluate(model, dataset, worst=3).worst
    assert [image.index for image in worst] == np.argsort(own)[:3].tolist()
    np.testing.assert_allclose([image.mean_iou for image in worst], np.sort(own)[:3])
    assert worst[0].name == f"image_{np.argmin(own)}"
    assert evaluate(model, dataset, worst=0).worst == ()


def test_an_image_without_labels_is_not_among_the_worst():
    dataset = arrays(((8, 8),) * 3)
    dataset.pairs[1][1][:] = 255
    assert {image.index for image in evaluate(net(), dataset).worst} == {0, 2}


def test_limit_and_progress():
    seen = []
    report = evaluate(net(), arrays(((5, 5),) * 10), limit=4, progress=lambda *args: seen.append(args))
    assert report.images == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {image.index for image in report.worst} == {0, 2, 5, 7}


def test_a_predictors_settings_are_used():
    model, dataset = net(), arrays()
    predictor = Predictor(model, scales=(0.5, 1.0), flip=True)
    labels = np.concatenate([labels.ravel() for _, labels in dataset.pairs])
    flat = np.concatenate([predictor(image).ravel() for image, _ in dataset.pairs])
    np.testing.assert_allclose(evaluate(predictor, dataset).class_iou, plain_ious(labels, flat))


def test_boundaries_are_in_the_report_when_asked_for():
    dataset = arrays()
    report = evaluate(net(), dataset, boundaries=True)
    assert len(report.trimap) == 40
    assert 0 <= report.boundary_f1 <= 1
    assert report.trimap[-1] == pytest.approx(report.mean_iou, abs=0.02)  # the 1x1 picture has no edge
    plain = evaluate(net(), dataset)
    assert plain.trimap == ()
    assert plain.boundary_f1 is None


def named(classes):
    model = net(len(classes))
    model.classes = tuple(classes)
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (net(5), "5 classes.*4 .sky, road"),
        (named(("a", "b", "c")), "3 classes .a, b, c.*4 .sky"),
        (named(("road", "sky", "car", "person")), "4 classes .road, sky"),
    ],
)
def test_other_classes_are_refused(model, words):
    with pytest.raises(ModelError, match=words):
        evaluate(model, arrays())


def test_other_names_for_the_same_number_of_classes_are_accepted():
    assert evaluate(named(("heaven", "street", "auto", "human")), arrays()).images == len(SIZES)


def test_refused_arguments():
    for settings in ({"limit": 0}, {"worst": -1}, {"batch_size": 0}):
        with pytest.raises(SettingsError):
            evaluate(net(), arrays(), **settings)
    with pytest.raises(DataError, match="no images"):
        evaluate(net(), Arrays(()))


def test_an_unreadable_sample_is_the_callers_error():
    class Broken(Arrays):
        def load(self, index):
            if index == 2:
                raise DataError("image_2.png: cut short")
            return super().load(index)

    with pytest.raises(DataError, match="image_2"):
        evaluate(net(), Broken(arrays().pairs))


def test_nothing_but_ignored_pixels_is_no_score():
    nothing = arrays(ignored=1.1)
    with pytest.raises(DataError, match="no labelled pixel in 6 images"):
        evaluate(net(), nothing)


def test_images_of_0_to_1_are_refused_by_name():
    pairs = list(arrays().pairs)
    pairs[3] = (pairs[3][0] / 255, pairs[3][1])
    with pytest.raises(DataError, match=r"image_3: .*multiply"):
        evaluate(net(), Arrays(tuple(pairs)))


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "argmax"])
def test_a_model_is_scored_by_what_it_gives(end):
    """The same scores as the logits' own argmax, whatever the model ends in."""
    dataset, bare = arrays(), net()
    ended = keras.ops.argmax(bare.output, -1) if end == "argmax" else layers.Activation(end)(bare.output)
    model = keras.Model(bare.input, ended)
    np.testing.assert_array_equal(evaluate(model, dataset).confusion, evaluate(bare, dataset).confusion)
    with pytest.raises(SettingsError, match="predictor takes it"):
        evaluate(Predictor(model), dataset, output="logits")


def test_every_form_of_data_that_keras_takes_gives_the_same_scores():
    data, model = arrays([(12, 15)] * 5), net()
    x, y = (np.stack(parts) for parts in zip(*data.pairs, strict=True))
    expected = evaluate(model, data, boundaries=True).to_json()
    for form in ((x, y), (list(x), list(y[..., None])), [(x[:3], y[:3]), (x[3:], y[3:])], Batches(x, y)):
        found = evaluate(model, form, boundaries=True).to_json()
        for score in ("confusion", "mean_iou", "boundary_f1", "trimap_iou"):
            assert found[score] == expected[score]
    assert found["classes"] == [f"class {index}" for index in range(4)]


def test_a_class_that_arrays_lack_is_still_the_models():
    data = arrays([(12, 15)] * 2, classes=2)
    x, y = (np.stack(parts) for parts in zip(*data.pairs, strict=True))
    model = net()
    model.classes = CLASSES
    assert evaluate(model, (x, y)).classes == CLASSES


def test_arrays_that_cannot_be_used_are_named():
    x, y = (np.stack(parts) for parts in zip(*arrays([(12, 15)] * 3).pairs, strict=True))
    for data, words in (
        ((x, np.where(np.arange(3)[:, None, None] == 1, 9, y)), "data_00001: class id 9"),
        ((x, np.eye(256)[y]), "data, sample 0: a mask of shape .*one-hot"),
        ((x / 255, y), "data, sample 0: image values from 0 to 1"),
        ((x, y[:, :5]), "data_00000: the mask has 5x15 pixels"),
        (x, "without masks"),
    ):
        with pytest.raises(DataError, match=words):
            evaluate(net(), data)


class Batches(keras.utils.PyDataset):
    """Two samples a batch."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return -(-len(self.x) // 2)

    def __getitem__(self, index):
        return self.x[2 * index : 2 * index + 2], self.y[2 * index : 2 * index + 2]
