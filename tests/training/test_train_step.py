"""Optimizer steps: accumulated batches against one large batch, precision, averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.losses import CrossEntropy
from kseg.metrics import MeanIoU
from kseg.training import SGD, AdamW
from kseg.training.averages import Averages
from kseg.training.train_step import TrainStep

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0, 1, (8, 6, 7, 3)).astype("float32")
LABELS = RANDOM.integers(0, 3, (8, 6, 7)).astype("uint8")
LABELS[:3, 1:] = 255  # the first batches have few valid pixels
LABELS[4] = 255


def net(policy=None):
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="tanh", dtype=policy, name="body")(image)
    return keras.Model(image, keras.layers.Conv2D(3, 1, dtype="float32", name="score")(x))


def batches(size):
    return iter(tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).repeat().batch(size))


def trained(size, accumulate, steps=3, optimizer=None, **loss):
    model, loss = net(), CrossEntropy(**loss)
    model.compile(optimizer or SGD(0.3, momentum=0.9), loss, metrics=[MeanIoU(3)])
    step, source = TrainStep(model, loss, accumulate), batches(size)
    logs = [step(source) for _ in range(steps)]
    return model, logs


@pytest.mark.parametrize(
    ("accumulate", "loss"), [(4, {}), (2, {"class_weights": (1.0, 5.0, 0.5)}), (8, {"reduction": "sum"})]
)
def test_accumulated_batches_are_one_large_batch(accumulate, loss):
    scale = 0.002 if loss.get("reduction") == "sum" else 0.3
    one, logs = trained(8, 1, optimizer=SGD(scale), **loss)
    many, others = trained(8 // accumulate, accumulate, optimizer=SGD(scale), **loss)
    for left, right in zip(many.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([x["loss"] for x in others], [x["loss"] for x in logs], rtol=1e-5)
    assert int(many.optimizer.iterations) == 3
    np.testing.assert_allclose(float(others[-1]["mean_iou"]), float(logs[-1]["mean_iou"]), atol=0.05)


def test_a_step_is_kerass_own():
    ours, logs = trained(4, 1, steps=4, optimizer=AdamW(0.01))
    model = net()
    model.compile(AdamW(0.01), CrossEntropy(), metrics=[MeanIoU(3)])
    source = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).repeat().batch(4)
    history = model.fit(source, steps_per_epoch=4, shuffle=False, verbose=0).history
    for left, right in zip(ours.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.mean([x["loss"] for x in logs]), history["loss"][0], rtol=1e-5)
    np.testing.assert_allclose(float(logs[-1]["mean_iou"]), history["mean_iou"][0], rtol=1e-6)


@pytest.mark.parametrize(
    ("policy", "accumulate"), [("mixed_float16", 1), ("mixed_float16", 2), ("mixed_bfloat16", 1)]
)
@pytest.mark.full
def test_mixed_precision_has_float32_logits_and_loss(policy, accumulate):
    model, loss = net(policy), CrossEntropy()
    optimizer = SGD(0.3, momentum=0.9)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**28)
    model.compile(optimizer, loss, metrics=[MeanIoU(3)])
    step, source = TrainStep(model, loss, accumulate), batches(8 // accumulate)
    losses = [step(source)["loss"] for _ in range(16)]
    assert model.get_layer("body").compute_dtype == policy.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    assert loss(LABELS, model(IMAGES)).dtype == "float32"
    assert losses[-1] < losses[0]
    full, _ = trained(8, 1, steps=16)
    if policy == "mixed_float16":
        # The first scales overflow float16: those steps are left out and the scale is halved.
        skipped = 16 - int(model.optimizer.iterations)
        assert 0 < skipped < 16
        assert float(optimizer.dynamic_scale) == 2.0 ** (28 - skipped)
        full, _ = trained(8, 1, steps=16 - skipped)
    for left, right in zip(model.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=0.05)


def test_averages_follow_each_step():
    model, loss = net(), CrossEntropy()
    model.compile(SGD(0.3), loss)
    averages = Averages(model, 0.5)
    expected = model.get_weights()
    step, source = TrainStep(model, loss, 2, averages), batches(4)
    for number in range(1, 4):
        step(source)
        decay = min(0.5, (1 + number) / (10 + number))
        pairs = zip(expected, model.get_weights(), strict=True)
        expected = [decay * old + (1 - decay) * new for old, new in pairs]
    with averages.applied():
        for left, right in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
