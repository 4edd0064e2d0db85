"""What every loss has to hold: half precision, many pixels, files, two devices, and a second implementation."""

import functools
import importlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from kseg import losses

CLASSES = 3
MAKE = {
    "cross_entropy": lambda: losses.CrossEntropy(class_weights=(1, 2, 0.5)),
    "smoothed": lambda: losses.CrossEntropy(label_smoothing=0.1),
    "hardest": lambda: losses.CrossEntropy(ohem_fraction=0.5),
    "boundary": lambda: losses.BoundaryCrossEntropy(2, 3.0),
    "sum": lambda: losses.named.get("cross_entropy + 0.5*dice + 0.2*lovasz"),
} | {
    f"{kind.__name__.lower()}_{mode}": lambda kind=kind, mode=mode: kind(mode=mode)
    for kind in (losses.Dice, losses.Jaccard, losses.Tversky, losses.Focal, losses.Lovasz)
    for mode in ("multiclass", "binary", "multilabel")
}
EVERY = pytest.mark.parametrize("name", MAKE)


def maps(name, shape=(2, 8, 8), seed=0):
    """Labels of the loss's mode, a third of them ignored, and logits."""
    random = np.random.default_rng(seed)
    several, single = "multilabel" in name, "binary" in name
    labels = random.integers(0, 2 if several or single else CLASSES, (*shape, CLASSES) if several else shape)
    labels = np.where(random.random(labels.shape) < 0.3, 255, labels).astype("uint8")
    return labels, random.normal(0, 2, (*shape, 1 if single else CLASSES)).astype("float32")


def value_and_gradient(loss, labels, logits):
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        given = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = loss(labels, given)
        return float(value), np.asarray(tape.gradient(value, given))
    if backend == "jax":
        import jax

        value, gradient = jax.value_and_grad(lambda given: loss(labels, given))(
            keras.ops.convert_to_tensor(logits)
        )
        return float(value), np.asarray(gradient)
    given = keras.ops.convert_to_tensor(logits).detach().clone().requires_grad_(True)
    value = loss(labels, given)
    value.backward()
    return float(value), given.grad.cpu().numpy()


@pytest.mark.full
@EVERY
def test_half_precision_logits_at_the_ends_of_their_range(name):
    labels, logits = maps(name)
    extreme = np.where(logits > 0, 6e4, -6e4).astype("float16")
    value, gradient = value_and_gradient(MAKE[name](), labels, extreme)
    assert np.isfinite(value)
    assert np.isfinite(gradient.astype("float32")).all()
    half, _ = value_and_gradient(MAKE[name](), labels, logits.astype("float16"))
    whole, _ = value_and_gradient(MAKE[name](), labels, logits.astype("float16").astype("float32"))
    np.testing.assert_allclose(half, whole, rtol=1e-6)


@pytest.mark.full
@EVERY
def test_a_million_pixels_have_the_loss_of_the_tile_that_they_repeat(name):
    """A mean over pixels and the overlap of regions do not change when the whole map is repeated."""
    labels, logits = maps(name, (1, 8, 8))
    many = [
        np.tile(part, (1, 128, 128, *[1] * (part.ndim - 3))) for part in (labels, logits.astype("float16"))
    ]
    found, gradient = value_and_gradient(MAKE[name](), *many)
    assert np.isfinite(gradient.astype("float32")).all()
    if name == "boundary":  # tiles have borders with each other
        assert np.isfinite(found)
    else:
        # A sum of a million float32 numbers; Lovasz also sorts them and adds up steps of 1e-6.
        expected = float(MAKE[name]()(labels, logits.astype("float16")))
        np.testing.assert_allclose(found, expected, rtol=2e-3 if "lovasz" in name or name == "sum" else 1e-4)


@pytest.mark.full
def test_a_step_of_training_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for name in ("cross_entropy", "dice_multiclass", "focal_binary", "lovasz_multilabel", "sum"):
            labels, logits = maps(name, (2, 16, 16))
            model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(logits.shape[-1], 1)])
            model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), MAKE[name]())
            before = [weight.copy() for weight in model.get_weights()]
            images = np.random.default_rng(1).normal(size=(2, 16, 16, 3))
            for _ in range(3):  # the first steps may find the loss scale too large
                assert np.isfinite(model.train_on_batch(images, labels)), name
            assert all(np.isfinite(weight).all() for weight in model.get_weights())
            assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True)), name
    finally:
        keras.config.set_dtype_policy("float32")


@EVERY
def test_saved_in_a_model_and_loaded_it_gives_the_same_bits(name, tmp_path):
    labels, logits = maps(name)
    model = keras.Sequential([keras.Input(logits.shape[1:]), keras.layers.Identity()])
    model.compile("sgd", MAKE[name]())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").loss
    assert type(again) is type(model.loss)
    np.testing.assert_array_equal(again(labels, logits), model.loss(labels, logits))


TWO_DEVICES = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_every_loss import MAKE, maps

two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
failed = []
for name in MAKE:
    labels, logits = maps(name, (4, 8, 8))
    labels[:2, :7] = 255  # the first device has few labels

    def step(labels, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, logits)
        return value, tape.gradient(value, logits)

    def halves(array):
        at = lambda context: tf.constant(array[2 * context.replica_id_in_sync_group :][:2])
        return two.experimental_distribute_values_from_function(at)

    loss = MAKE[name]()
    value, gradient = step(labels, tf.constant(logits))
    found = tf.function(lambda *parts: two.run(step, args=parts))(halves(labels), halves(logits))
    values, gradients = map(two.experimental_local_results, found)
    off = max(float(np.abs(value - sum(values)).max()), float(np.abs(gradient - np.concatenate(gradients)).max()))
    if not off <= 1e-6:
        failed.append((name, off))
assert not failed, failed
"""


@pytest.mark.full
@pytest.mark.tensorflow
def test_two_devices_give_the_value_and_gradient_of_one(request):
    command = [sys.executable, "-c", TWO_DEVICES, str(request.path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@functools.cache
def torchvision():
    """Import it also beside another torch than it was built for, whose operators it then lacks."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library  # operators live as long as it does
    except ImportError:
        return None


def of_smp(name, labels, logits, **settings):
    """The loss of that name in segmentation_models.pytorch, of logits with their channels second."""
    torch = pytest.importorskip("torch")
    torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    given = torch.tensor(logits).movedim(-1, 1)
    truth = torch.tensor(labels.astype(np.int64))
    truth = truth.movedim(-1, 1) if truth.ndim == 4 else truth
    return float(getattr(smp.losses, name)(**settings)(given, truth))


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("ignored", [True, False])
def test_the_losses_of_segmentation_models_pytorch(mode, ignored):
    labels, logits = maps(mode, (3, 9, 7))
    settings = {"mode": mode, "from_logits": True, "eps": 1e-7}
    if ignored:
        settings["ignore_index"] = 255
    else:
        labels[labels == 255] = 0
    for ours, theirs, more in (
        (losses.Dice(mode=mode), "DiceLoss", {}),
        (losses.Tversky(0.3, 0.7, mode=mode), "TverskyLoss", {"alpha": 0.3, "beta": 0.7}),
        (losses.Jaccard(mode=mode), "JaccardLoss", {}),
    ):
        if theirs == "JaccardLoss" and ignored:
            continue  # it has no ignored label
        expected = of_smp(theirs, labels, logits, **settings, **more)
        np.testing.assert_allclose(ours(labels, logits), expected, rtol=1e-5, err_msg=theirs)
    settings = {"mode": mode} | ({"ignore_index": 255} if ignored else {})
    if mode != "multilabel":  # theirs takes the channels of a multilabel map for one long channel
        expected = of_smp("LovaszLoss", labels, logits, per_image=False, **settings)
        np.testing.assert_allclose(losses.Lovasz(mode)(labels, logits), expected, rtol=1e-5)
    # Theirs is one-versus-rest for several classes, ours a softmax as the paper's; it fails at ignored entries.
    if mode == "binary" or (mode == "multilabel" and not ignored):
        expected = of_smp("FocalLoss", labels, logits, gamma=2.0, **settings)
        np.testing.assert_allclose(losses.Focal(2.0, mode)(labels, logits), expected, rtol=1e-5)
