"""What a model learns from another: the loss against NumPy, classes of other names, images without masks."""

import json
import warnings

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.data.masks import Kind
from kseg.errors import KsegWarning, SettingsError
from kseg.inference.file_predictor import FileInfo
from kseg.losses import CrossEntropy
from kseg.training import Recipe, Teacher, fit
from kseg.training.train_step import TrainStep

RNG = np.random.default_rng(1)


class Answers:
    """A predictor that gives one answer for every image."""

    def __init__(self, probabilities, classes=None, output="probabilities"):
        self.answer, self.output, self.num_classes = probabilities, output, probabilities.shape[-1]
        self.classes = classes
        self.name = "answers"

    @property
    def model(self):
        return self

    def __call__(self, image):
        return self.answer.argmax(-1).astype("uint8")

    def probabilities(self, image, progress=None):
        assert image.min() >= 0
        assert image.max() <= 255
        return self.answer


def answers(size=(6, 7), classes=3):
    raw = RNG.random((*size, classes)) + 0.1
    return (raw / raw.sum(-1, keepdims=True)).astype("float32")


def divergence(targets, logits):
    """Mean Kullback-Leibler divergence over the pixels, in float64."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    own = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return (targets * (np.log(targets) - own)).sum(-1).mean()


def linear(classes=3):
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(classes, 1, kernel_initializer="random_normal")(image))


def steps(model, loss, teacher, batches, accumulate=1):
    model.compile(keras.optimizers.SGD(1e-4), loss)
    step = TrainStep(model, loss, accumulate, teacher=teacher)
    return step(
        iter(
            tf.data.Dataset.from_generator(
                lambda: iter(batches),
                output_signature=(
                    tf.TensorSpec((None, None, None, 3)),
                    tf.TensorSpec((None, None, None), tf.uint8),
                ),
            )
        )
    )


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_loss_is_the_one_written_down(weight):
    model, targets = linear(), answers()
    images = RNG.uniform(0, 255, (2, 6, 7, 3)).astype("float32")
    labels = RNG.integers(0, 3, (2, 6, 7)).astype("uint8")
    labels[:, :3] = 255
    logits = model(images).numpy()
    supervised = float(CrossEntropy()(labels, logits))
    teacher = Teacher(Answers(targets), weight)
    teacher.fit_to("abc")
    found = steps(model, CrossEntropy(), teacher, [(images, labels)])["loss"]
    expected = (1 - weight) * supervised + weight * divergence(targets[None], logits)
    assert found == pytest.approx(expected, rel=1e-4)


def test_images_without_a_label_are_learned_from():
    model, targets = linear(), answers()
    images = RNG.uniform(0, 255, (2, 6, 7, 3)).astype("float32")
    logits = model(images).numpy()
    teacher = Teacher(Answers(targets), 0.25)
    teacher.fit_to("abc")
    before = model.get_weights()
    found = steps(model, CrossEntropy(), teacher, [(images, np.full((2, 6, 7), 255, "uint8"))])["loss"]
    assert found == pytest.approx(0.25 * divergence(targets[None], logits), rel=1e-4)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("from_logits", [True, False])
def test_one_channel_learns_the_probability_of_the_object(from_logits):
    """The divergence of two Bernoulli variables, and a step in its direction."""
    image, targets = keras.Input((None, None, 3)), answers(classes=2)
    activation = None if from_logits else "sigmoid"
    model = keras.Model(image, keras.layers.Conv2D(1, 1, activation=activation)(image / 255))
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 0.1)
    images = RNG.uniform(0, 255, (2, 6, 7, 3)).astype("float32")
    own = np.asarray(model(images), np.float64)[..., 0]
    own = 1 / (1 + np.exp(-own)) if from_logits else own
    p = targets[..., 1].astype(np.float64)
    expected = (p * np.log(p / own) + (1 - p) * np.log((1 - p) / (1 - own))).mean()
    teacher, loss = Teacher(Answers(targets), 1.0), CrossEntropy(from_logits=from_logits)
    teacher.fit_to(("background", "object"))
    before = model.get_weights()
    found = steps(model, loss, teacher, [(images, np.full((2, 6, 7), 255, "uint8"))])["loss"]
    assert found == pytest.approx(expected, rel=1e-4)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_accumulated_batches_are_one_batch_of_both():
    targets = answers()
    images = RNG.uniform(0, 255, (4, 6, 7, 3)).astype("float32")
    labels = RNG.integers(0, 3, (4, 6, 7)).astype("uint8")
    whole = linear()
    apart = keras.models.clone_model(whole)
    apart.set_weights(whole.get_weights())
    for model, batches, count in (
        (whole, [(images, labels)], 1),
        (apart, [(images[:1], labels[:1]), (images[1:], labels[1:])], 2),
    ):
        teacher = Teacher(Answers(targets), 0.5)
        teacher.fit_to("abc")
        steps(model, CrossEntropy(), teacher, batches, count)
    for a, b in zip(whole.get_weights(), apart.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("own", "told", "expected"),
    [
        (None, None, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (("car", "background", "person"), None, [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
        (("x", "y", "z"), {"person": ["y", 2]}, [[1, 0, 0], [0, 1, 0], [0, 1, 0]]),
        (("x", "y", "z"), {"car": "x"}, [[0, 0, 1], [1, 0, 0], [1, 0, 0]]),
    ],
)
def test_which_class_is_which(own, told, expected):
    targets = answers((1, 1))
    teacher = Teacher(Answers(targets, own), classes=told)
    teacher.fit_to(("background", "person", "car"))
    found = teacher.probabilities(np.zeros((1, 1, 1, 3)))
    np.testing.assert_allclose(found[0], targets @ np.array(expected), rtol=1e-6)


def test_more_classes_than_are_wanted_are_the_background():
    targets = answers((2, 2), 4)
    teacher = Teacher(Answers(targets, ("background", "person", "cat", "dog")))
    teacher.fit_to(("background", "person"))
    found = teacher.probabilities(np.zeros((1, 2, 2, 3)))[0]
    np.testing.assert_allclose(found[..., 1], targets[..., 1], rtol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)


def test_class_ids_teach_too():
    targets = answers((2, 2), 16)
    teacher = Teacher(Answers(targets, output="labels"), classes={"person": 15})
    teacher.fit_to(("background", "person"))
    found = teacher.probabilities(np.zeros((1, 2, 2, 3)))[0]
    np.testing.assert_array_equal(found[..., 1], targets.argmax(-1) == 15)


@pytest.mark.parametrize(
    ("own", "told", "message"),
    [
        (None, None, r"3 classes without names, the data 2 \(background, person\)"),
        (("a", "b", "c"), None, "knows a, b, c; the data's classes are background, person"),
        (("a", "b", "c"), {"tree": "a"}, "name 'tree'; the data has background, person"),
        (("a", "b", "c"), {"person": "d"}, "no class 'd'; it has a, b, c"),
        (None, {"person": "d"}, "its classes have no names: give numbers"),
        (None, {"person": 3}, "3 classes; there is no 3"),
        (
            ("a", "b", "c"),
            {"person": "b", "background": ["a", "b"]},
            "its class 'b' is given to both person and background",
        ),
    ],
)
def test_classes_that_do_not_fit(own, told, message):
    with pytest.raises(SettingsError, match=message):
        Teacher(Answers(answers(), own), classes=told).fit_to(("background", "person"))


@pytest.mark.parametrize(
    ("told", "untaught"),
    [
        (
            {"person": "y"},
            "the data's class car: it takes its pixels for other classes, .* with 0.25 of the loss",
        ),
        (
            {"background": "x"},
            "the data's classes person, car: it takes their pixels .*--teacher-classes person=NAME",
        ),
        ({"person": ["x", "y"], "car": "z"}, "the data's class background"),
    ],
)
def test_classes_that_are_left_out_are_told_of_once(told, untaught):
    teacher = Teacher(Answers(answers((1, 1)), ("x", "y", "z")), 0.25, told)
    with pytest.warns(KsegWarning, match=untaught) as found:
        teacher.fit_to(("background", "person", "car"))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("own", "told", "weight"),
    [
        (("x", "y", "z"), {"person": "y", "car": 2}, 0.5),  # x is the first class
        (("x", "y", "z"), {"person": "y"}, 0),  # and teaches nothing
        (("background", "person", "car"), None, 0.5),
        (None, None, 0.5),
    ],
)
def test_nothing_is_told_where_every_class_is_taught(own, told, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Teacher(Answers(answers((1, 1)), own), weight, told).fit_to(("background", "person", "car"))


@pytest.mark.parametrize(
    ("kind", "overlapping", "message"),
    [
        (Kind(3, (0, 255), True), False, "the data's classes overlap"),
        (Kind(3, (0, 255), False), True, "its classes overlap"),
        (
            Kind(6, (0, 1), False),
            False,
            "takes images with 3 channels of 0 to 255; those of the data have 6 channels",
        ),
    ],
)
def test_data_of_another_kind_is_refused(kind, overlapping, message):
    own = Answers(answers())
    own.info = FileInfo(multilabel=overlapping)
    with pytest.raises(SettingsError, match=message):
        Teacher(own).fit_to(("a", "b", "c"), kind)


def test_a_teacher_of_other_values_sees_them():
    own = Answers(answers((2, 2)))
    own.info, seen = FileInfo(channels=4, value_range=(0, 10_000)), []
    own.probabilities = lambda image: seen.append(image.max()) or own.answer
    teacher = Teacher(own)
    teacher.fit_to(("a", "b", "c"), Kind(4, (0, 10_000), False))
    teacher.probabilities(np.full((1, 2, 2, 4), 7000.0))
    assert seen == [7000]


def test_a_weight_is_a_fraction():
    with pytest.raises(SettingsError, match="weight"):
        Teacher(Answers(answers()), 1.5)


@pytest.mark.full
def test_a_model_learns_what_its_teacher_knows(network, train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(sampling=None, epochs=6, validate_every=6)
    quiet = {"tensorboard": False, "verbose": False}
    teacher = network(name="teacher")
    fit(teacher, recipe, train, val, tmp_path / "teacher", **quiet)
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), train.load(number)[0][..., ::-1])
    images = kseg.data.unlabelled(tmp_path, like=train)
    assert len(images) == 12
    taught = Teacher(str(tmp_path / "teacher" / "best.keras"), 1.0)
    student = network(name="student")
    rows = fit(student, recipe, images, val, tmp_path / "student", teacher=taught, **quiet)
    assert rows[-1]["val_mean_iou"] > 0.6  # no label was seen
    told = json.loads((tmp_path / "student" / "recipe.json").read_text())["start"]["teacher"]
    assert told["weight"] == 1
    assert told["model"].endswith("best.keras")
    other = Teacher(str(tmp_path / "teacher" / "best.keras"), 0.5)
    with pytest.raises(SettingsError, match="teacher"):  # going on with another part of the loss
        fit(network(), recipe.replace(epochs=7), images, val, tmp_path / "student", teacher=other, **quiet)


@pytest.mark.parametrize("settings", [{"label_stride": 8}, {"input_scales": (0.5, 1.0)}], ids=str)
@pytest.mark.full
def test_other_objectives_meet_the_teacher_where_they_meet_the_labels(train, tmp_path, settings):
    from kseg.models import build
    from kseg.training.teacher import meeting

    model = build("deeplabv2_efficientnetlite0", 3, weights=None)
    recipe = Recipe(batch_size=2, size=(33, 41), epochs=1, steps_per_epoch=1, **settings)
    seen = []

    def watched(*arguments):
        found = meeting(*arguments)
        seen.append([tuple(map(int, part.shape[1:3])) for part in found])
        return found

    teacher = Teacher(Answers(answers((33, 41))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kseg.training.teacher.meeting", watched)
        rows = fit(model, recipe, train, None, tmp_path, teacher=teacher, tensorboard=False, verbose=False)
    assert np.isfinite(rows[-1]["loss"])
    assert seen[0][0] == seen[0][1]
