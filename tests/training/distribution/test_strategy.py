"""Distribution: settings here, two devices (logical CPUs) in a process of their own."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.training import strategy, synchronised_batch_norm
from kseg.training.distribution.strategy import (
    assign_total,
    check_batch_size,
    distributed,
    place,
    sum_over_workers,
)

CONFTEST = Path(__file__).parents[1] / "conftest.py"


def test_one_device(network):
    with strategy() as chosen:
        assert chosen.num_replicas_in_sync == 1
        check_batch_size(3)
        assert distributed(lambda parts, own: (parts, own)) == (1, range(1))
        assert place() == (0, 1)
        np.testing.assert_array_equal(sum_over_workers(np.arange(3)), [0, 1, 2])
        variable = tf.Variable([1, 2])
        assign_total([variable], [np.array([3, 4])])
        np.testing.assert_array_equal(variable, [3, 4])
        model = network()
        with synchronised_batch_norm(model):
            assert not model.get_layer("norm").synchronized


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two",), "none, mirrored, multiworker"),
        (("none", 2), "mirrored only"),
        (("mirrored", 99), "99 devices"),
        (("multiworker",), "TF_CONFIG"),
    ],
)
def test_what_cannot_be(arguments, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    tf.zeros(1)  # TensorFlow has begun: the CPU cannot be cut any more
    with pytest.raises(SettingsError, match=message), strategy(*arguments):
        pass


def shared():
    spec = importlib.util.spec_from_file_location("shared", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_two_devices(function, *arguments):
    """Run a function of this file in a process whose CPU is cut in two."""
    code = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('case', sys.argv[1]);"
        "case = importlib.util.module_from_spec(spec); spec.loader.exec_module(case);"
        f"case.{function}(*sys.argv[2:])"
    )
    words = [sys.executable, "-c", code, __file__, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def trained(name, devices, build, out, **changes):
    """Weights and rows of a short training under a strategy."""
    import kseg

    case = shared()
    settings = {"optimizer": "sgd", "learning_rate": 0.05, "batch_size": 4, "size": (16, 24), "mirror": True}
    settings |= {"epochs": 2, "steps_per_epoch": 10, "validate_every": 2, "seed": 4, **changes}
    with strategy(name, devices) as chosen:
        assert chosen.num_replicas_in_sync == (devices or 1)
        model = build()
        rows = kseg.training.fit(
            model, kseg.training.Recipe(**settings), Half(case.blocks("train", 18)), case.blocks("val", 5, 1), out,
            tensorboard=False, verbose=False,
        )  # fmt: skip
    return model, rows


class Half:
    """A data set in which every other picture is ignored but for one row, so that replicas have unequal shares."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def load(self, index):
        image, labels = self.dataset.load(index)
        if index % 2:
            labels = labels.copy()
            labels[1:] = 255
        return image, labels


def without_dropout():
    model = shared().network.__wrapped__()()
    model.get_layer("dropout").rate = 0.0
    return model


def squared(labels, logits):
    """A loss of one's own: one number a pixel."""
    true = tf.gather(logits, tf.cast(labels, tf.int32), axis=-1, batch_dims=3)
    return tf.reduce_sum(tf.square(logits), -1) - tf.square(true) + tf.square(true - 2)


CASES = {
    "whole": {},
    "accumulated": {"accumulate": 2, "batch_size": 2, "ema": 0.9, "steps_per_epoch": 4},
    "regions": {"loss": "cross_entropy + 0.5 * dice", "steps_per_epoch": 4},
    "own": {"loss": squared, "accumulate": 2, "steps_per_epoch": 4, "learning_rate": 0.005},
}


def mirrored_is_one_device(folder, case):
    import keras

    # The devices must be cut before anything else.
    (two, rows), (one, expected) = (
        trained(name, devices, without_dropout, f"{folder}/{name}", **CASES[case])
        for name, devices in (("mirrored", 2), ("none", None))
    )
    _same(two.get_weights(), one.get_weights())
    moving = np.asarray(two.get_layer("norm").moving_mean)
    assert np.abs(moving).max() > 0.01  # or synchronised statistics prove nothing
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        names = [name for name in row if name != "seconds"]
        _same([row[name] for name in names], [other[name] for name in names])
    files = [keras.saving.load_model(f"{folder}/{name}/best.keras") for name in ("mirrored", "none")]
    _same(*(file.get_weights() for file in files))
    assert not files[0].get_layer("norm").synchronized
    _odd_counts_come_back()
    _an_overflow_on_one_device_is_everyones()


def _an_overflow_on_one_device_is_everyones():
    """The second device's picture is so bright that its scaled gradient is beyond float16; the first one's is black."""
    import keras

    from kseg.losses import CrossEntropy
    from kseg.training import SGD
    from kseg.training.train_step import TrainStep

    with strategy("mirrored", 2) as chosen:
        image = keras.Input((4, 4, 3))
        scores = keras.layers.Conv2D(2, 1, dtype="mixed_float16")(image)
        model = keras.Model(image, keras.layers.Activation("linear", dtype="float32")(scores))
        model.compile(
            keras.optimizers.LossScaleOptimizer(SGD(0.1)), loss := CrossEntropy(), jit_compile=False
        )
        steps, before = TrainStep(model, loss), model.get_weights()
        pictures = np.zeros((2, 4, 4, 3), "float32")
        pictures[1] = 60000
        batches = (
            tf.data.Dataset.from_tensor_slices((pictures, np.zeros((2, 4, 4), "int32"))).batch(1).repeat()
        )
        model.optimizer.dynamic_scale.assign(2.0**24)
        steps(iter(chosen.distribute_datasets_from_function(lambda context: batches)))
        for one, two in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, two)  # the step is left out
        assert float(np.asarray(model.optimizer.dynamic_scale)) == 2.0**23


def _odd_counts_come_back():
    from kseg.metrics import MeanIoU
    from kseg.optimizers.schedules import rate_of_last_step
    from kseg.training import SGD

    with strategy("mirrored", 2):
        metric = MeanIoU(2)
        counts = np.array([[3, 1], [0, 5]])
        assign_total(metric.variables, [counts, np.array(1)])
        np.testing.assert_array_equal(metric.variables[0], counts)
        assert rate_of_last_step(SGD(0.25)) == 0.25
        with np.testing.assert_raises(SettingsError):
            check_batch_size(3)


def kerass_own_fit_is_one_device():
    from kseg.data import pipeline
    from kseg.losses import CrossEntropy
    from kseg.training import SGD

    weights = []
    for name, devices in (("mirrored", 2), ("none", None)):
        with strategy(name, devices):
            model = without_dropout()
            model.compile(SGD(0.05), CrossEntropy())
        train = Half(shared().blocks("train", 18))
        batches = pipeline(train, batch_size=4, size=(16, 24), epochs=None, drop_remainder=True)
        with synchronised_batch_norm(model):
            model.fit(batches, steps_per_epoch=3, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    _same(*weights)


def taught_with_one_thread():
    """As on a machine with one processor, where a teacher within the step's graph waited for ever for a thread."""
    import keras

    from kseg.losses import CrossEntropy
    from kseg.training import SGD, Teacher
    from kseg.training.train_step import TrainStep

    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 5, 6, 3)).astype("float32")
    labels = rng.integers(0, 2, (4, 5, 6)).astype("uint8")
    weights = []
    for name, devices in (("mirrored", 2), ("none", None)):
        with strategy(name, devices) as chosen:
            own, model = (
                keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)]) for _ in range(2)
            )
            for one, kernel in ((own, [[-1.0, 1], [0, 0.5], [1, 0]]), (model, np.zeros((3, 2)))):
                one.layers[-1].kernel.assign(np.reshape(kernel, (1, 1, 3, 2)) / 100)
            model.compile(SGD(1e-4), loss := CrossEntropy(), jit_compile=False)
            teacher = Teacher(own, 0.75)
            teacher.fit_to(("background", "object"))
            step = TrainStep(model, loss, teacher=teacher)
            data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4 // (devices or 1)).repeat()
            source = data if devices is None else chosen.distribute_datasets_from_function(lambda context: data)  # noqa: B023
            batches = iter(source)
            for _ in range(3):
                step(batches)
        weights.append(model.get_weights())
    assert np.abs(weights[0][0]).max() > 1e-5  # the model moved
    _same(*([weight * 1000 for weight in one] for one in weights))


def _same(found, expected):
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.full
@pytest.mark.parametrize(
    "case",
    ["whole", *(pytest.param(name, marks=pytest.mark.slow) for name in ("accumulated", "regions", "own"))],
)
def test_two_devices_train_like_one(tmp_path, case):
    in_two_devices("mirrored_is_one_device", tmp_path, case)


@pytest.mark.full
def test_a_teacher_needs_no_thread_of_its_own():
    in_two_devices("taught_with_one_thread")


@pytest.mark.slow
def test_kerass_own_fit_on_two_devices():
    in_two_devices("kerass_own_fit_is_one_device")


def families():
    """A small net of every family, without dropout."""
    from kseg import backbones, models

    def lite0(stride):
        return backbones.EfficientNetLite("lite0", output_stride=stride, weights=None)

    vgg = {"filters": None, "average": False, "dropout": 0.0, "name": "vgg16"}
    return {
        "fcn": lambda: models.FCN(lite0(32), 3),
        "deconvnet": lambda: models.DeconvNet(
            backbones.VGG16BatchNorm(widths=(4, 4, 4, 4, 4), filters=8, fc6_padding="same", name="vgg"), 3,
            kernel_std=None,
        ),
        "deeplab_v1": lambda: models.DeepLabV1(backbones.DeepLabVGG16(**{**vgg, "filters": 8}), 3),
        "deeplab_v2": lambda: models.DeepLabV2(
            backbones.ResNet(50, filters=4, output_stride=8, name="resnet50"), 3
        ),
        "pspnet": lambda: models.PSPNet(
            backbones.ResNet(50, stem="deep", filters=4, output_stride=8, name="resnet50"), 3, filters=4
        ),
        "deeplab_v3plus": lambda: models.DeepLabV3Plus(lite0(16), 3),
        "lraspp": lambda: models.LRASPP(lite0(16), 3),
    }  # fmt: skip


def family_is_one_device(folder, name):
    import keras

    def build():
        keras.utils.set_random_seed(1)
        model = families()[name]()
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
            if isinstance(layer, keras.layers.BatchNormalization):
                # The deepest maps have one cell a picture: divided by the root of the variance of four numbers,
                # which may be next to nothing, rounding of 3e-5 becomes a tenth within five steps.
                layer.epsilon = 0.1
        random = np.random.default_rng(7)
        for variable in model.trainable_variables:
            if variable.name == "kernel" and not np.asarray(variable).any():
                variable.assign(
                    random.normal(0, 0.1, variable.shape)
                )  # a score layer of zeros passes no gradient
        return model

    # One step, for rounding is what parts these untrained nets next: on one device, a start that is 1e-6 off is 0.06
    # (LR-ASPP), 0.08 (DeepLabv3+) and 69 (PSPNet) away after four steps, more than two devices are. The small net above
    # is compared after twenty.
    changes = {
        "epochs": 1,
        "steps_per_epoch": 1,
        "validate_every": 1,
        "size": (32, 32),
        "learning_rate": 1e-2,
    }
    two, rows = trained("mirrored", 2, build, f"{folder}/two", **changes)
    one, expected = trained("none", None, build, f"{folder}/one", **changes)
    moved = [np.abs(a - b).max() for a, b in zip(one.get_weights(), build().get_weights(), strict=True)]
    assert max(moved) > 5e-4
    # Rounding grows on its way back through fifty untrained layers; a wrong share of the loss would be far more. On one
    # device, a start that is 1e-7 off moves DeepLabv3+'s first kernel by 0.57, not 0.58; the largest difference of two
    # devices was 0.026 of what a weight moved (one of PSPNet's scales, where others moved by a thousand).
    for a, b, far in zip(two.get_weights(), one.get_weights(), moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=max(1e-4, 0.05 * far))
    _same([row["loss"] for row in rows], [row["loss"] for row in expected])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(families()))
def test_every_family_trains_on_two_devices_like_on_one(tmp_path, name):
    in_two_devices("family_is_one_device", tmp_path, name)
