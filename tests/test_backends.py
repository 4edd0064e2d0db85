"""One model on two of Keras's backends: files written under either give the same logits under the other."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, DeepLabVGG16, EfficientNetLite, ResNet, VGG16BatchNorm
from kseg.errors import SettingsError
from kseg.models import FCN, DeconvNet, DeepLabV2, PSPNet

SIZES = ((64, 96), (33, 47))

# Reads every model of the folder and writes its logits; then trains one with Keras's own fit on kseg's pipeline.
ON_JAX = """
import json, sys
from pathlib import Path
import keras, numpy as np, kseg
from kseg.models import FCN, load

assert keras.backend.backend() == "jax", keras.backend.backend()
folder = Path(sys.argv[1])
images = np.load(folder / "images.npz")
for path in sorted(folder.glob("*.keras")):
    model = load(path)
    np.savez(folder / f"{path.stem}_jax.npz", *(np.asarray(model(images[name])) for name in images.files))

keras.utils.set_random_seed(0)
data = kseg.data.load("folder", folder / "data")
model = FCN(kseg.backbones.EfficientNetLite("lite0", padding="image"), 2, stride=8)
optimizer = kseg.training.AdamW(1e-3, layer_multipliers={"score_fr": 10.0})
model.compile(optimizer, kseg.losses.CrossEntropy(), metrics=[kseg.metrics.MeanIoU(2)])
augment = kseg.data.Augment(mirror=True)
batches = kseg.data.pipeline(data, batch_size=4, size=(32, 32), augment=augment, shuffle=True, epochs=30)
history = model.fit(batches, validation_data=kseg.data.pipeline(data, batch_size=1), verbose=0).history
before = keras.ops.convert_to_numpy(optimizer.iterations)
more = model.fit(batches, validation_data=kseg.data.pipeline(data, batch_size=1), verbose=0).history
model.save(folder / "trained.keras")
np.savez(folder / "trained_jax.npz", *(np.asarray(model(images[name])) for name in images.files))
scores = {"first": history["loss"][0], "second": more["loss"][0], "mean_iou": more["val_mean_iou"][0]}
(folder / "scores.json").write_text(json.dumps({**scores, "steps": int(before)}))
try:
    kseg.training.fit(model, kseg.training.Recipe(), data, None, folder / "run")
except kseg.KsegError as error:
    (folder / "refusal.txt").write_text(str(error))
"""


def nets():
    """A small one of each family and backbone, all of whose layers count for the logits."""
    vgg, deeplab = VGG16(filters=4, name="vgg16"), DeepLabVGG16(filters=None, average=False, name="vgg16")
    bn = VGG16BatchNorm(widths=(2, 3, 4, 5, 6), filters=4, fc6_padding="same", name="vgg")
    resnet = ResNet(50, filters=2, stem="deep", output_stride=8, name="resnet50")
    made = {
        "fcn": FCN(vgg, 3, stride=8),
        "fcn_lite": FCN(EfficientNetLite("lite0", weights=None), 3, stride=16),
        "deconvnet": DeconvNet(bn, 3, kernel_std=0.5),
        "deeplab": DeepLabV2(deeplab, 3, rates=(2, 4), hidden=4),
        "pspnet": PSPNet(resnet, 3, filters=4),
    }
    random = np.random.default_rng(0)
    for model in made.values():
        for variable in model.variables:
            if variable.path.endswith("kernel"):
                scale = np.sqrt(2 / max(np.prod(variable.shape[:-1]), 1))
                variable.assign(random.normal(size=variable.shape) * scale)
            elif variable.path.endswith(("beta", "moving_mean", "bias")):
                variable.assign(random.normal(0, 0.1, variable.shape))
    return made


def two_halves(folder, count=8):
    """Pictures that are dark left and bright right, and their masks."""
    import cv2

    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        edge = int(random.integers(8, 24))
        mask = np.broadcast_to(np.arange(32) >= edge, (32, 32)).astype("uint8")
        picture = np.clip(40 + 170 * mask + random.normal(0, 15, mask.shape), 0, 255).astype("uint8")
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), picture)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_same_logits_under_tensorflow_and_jax(tmp_path):
    pytest.importorskip("jax")
    random = np.random.default_rng(1)
    images = [random.uniform(0, 255, (2, *size, 3)).astype("float32") for size in SIZES]
    np.savez(tmp_path / "images.npz", *images)
    made = nets()
    for name, model in made.items():
        model.save(tmp_path / f"{name}.keras")
    two_halves(tmp_path / "data")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", ON_JAX, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    made["trained"] = keras.saving.load_model(tmp_path / "trained.keras", compile=False)
    for name, model in made.items():
        with np.load(tmp_path / f"{name}_jax.npz") as found:
            for image, key in zip(images, found.files, strict=True):
                expected = np.asarray(model(image))
                error = np.abs(found[key] - expected).max() / max(np.abs(expected).max(), 1)
                assert error < 1e-4, (name, image.shape, error)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["steps"] == 60  # 30 times through 8 pictures in batches of 4
    assert scores["second"] < 0.7 * scores["first"]
    assert scores["mean_iou"] > 0.6
    assert "kseg.data.Loader" in (tmp_path / "refusal.txt").read_text()


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="kseg's own training is TensorFlow's")
def test_kseg_training_says_where_it_runs(tmp_path):
    from kseg.data import load
    from kseg.training import Recipe, fit

    two_halves(tmp_path / "data", count=2)
    data = load("folder", tmp_path / "data")
    model = FCN(VGG16(filters=2, name="vgg16"), 2, stride=32)
    with pytest.raises(SettingsError, match="trains on TensorFlow"):
        fit(model, Recipe(), data, None, tmp_path / "run")


# CI runs it on JAX and torch among the everyday tests; on TensorFlow the parts have tests of their own.
@pytest.mark.full if keras.backend.backend() == "tensorflow" else lambda test: test
def test_a_preset_is_tuned_predicts_and_is_saved_on_every_backend(tmp_path):
    """New classes, freezing, rates by part, Keras's `fit` on a loader, Predictor, CRF, evaluate, a preset's folder."""
    import kseg

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 32, 32, 3)).astype("uint8")
    data = kseg.data.from_arrays(images, (images[..., 0] > 128).astype("uint8"), classes=["dark", "bright"])
    trained = FCN(VGG16(widths=(2, 2, 2, 2, 2), filters=2, name="vgg16"), 3, stride=32)
    trained.classes = ("dark", "grey", "bright")
    model = trained.change_classes(classes=data.classes)
    model.freeze("stage1")
    model.compile(learning_rates={"backbone": 0.1})
    loader = kseg.data.Loader(data, batch_size=2, size=(32, 32))
    history = model.fit(loader, validation_data=(images, (images[..., 0] > 128).astype("uint8")), epochs=2, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    plain, sharp = (kseg.inference.Predictor(model, crf=crf) for crf in (None, kseg.inference.DenseCRF(iterations=1)))
    assert plain(images[0]).shape == sharp(images[0]).shape == (32, 32)
    logits = keras.ops.convert_to_numpy(model(images[:1].astype("float32")))
    np.testing.assert_array_equal(plain(images[0]), logits[0].argmax(-1))
    assert 0 <= kseg.evaluation.evaluate(model, data).mean_iou <= 1
    model.save_to_preset(tmp_path / "mine")
    again = FCN.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(images[:1].astype("float32"))), logits)


@pytest.mark.full if keras.backend.backend() == "tensorflow" else lambda test: test
@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_every_loss_and_metric_in_keras_fit_on_a_loader(mode, tmp_path):
    """Four channels of 0 to 1, whose classes a 1x1 convolution finds; the sum of all losses falls, and scores rise."""
    import kseg
    from kseg import losses, metrics

    rng = np.random.default_rng(0)
    overlap, count = mode == "multilabel", {"multiclass": 3, "binary": 2, "multilabel": 2}[mode]
    images = rng.uniform(0, 0.3, (8, 16, 16, 4)).astype("float32")
    labels = rng.integers(0, 2, (8, 16, 16, 2)) if overlap else rng.integers(0, count, (8, 16, 16))
    for index in range(count):
        images[..., index] += 0.6 * (labels[..., index] if overlap else labels == index)
    labels[:, 0] = 255
    kind = {"channels": 4, "value_range": (0, 1), "multilabel": overlap}
    data = kseg.data.from_arrays(images, labels.astype("uint8"), classes=["a", "b", "c"][:count], **kind)

    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(8, 1, activation="relu")(image)
    channels = 1 if mode == "binary" else count
    logits = keras.layers.Conv2D(channels, 1, dtype="float32")(x)
    backbone = kseg.backbones.Backbone(image, {"x": x}, value_range=(0, 1))
    model = kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=channels)
    model.multilabel, model.classes = overlap, data.classes

    moded = [kind(mode=mode) for kind in (losses.Dice, losses.Jaccard, losses.Tversky, losses.Focal, losses.Lovasz)]
    parts = moded if overlap else [*moded, losses.CrossEntropy(), losses.BoundaryCrossEntropy()]
    of_classes = {"mode": "multilabel" if overlap else "multiclass"}
    scores = [kind(data.classes, **of_classes) for kind in (metrics.IoU, metrics.Dice)]
    if not overlap:
        scores += [kind(count) for kind in (metrics.MeanIoU, metrics.PixelAccuracy, metrics.BoundaryF1)]
    model.compile(kseg.optimizers.AdamW(0.1), losses.WeightedSum(parts), metrics=scores)
    augment = kseg.data.Augment(mirror=True, contrast=0.1)
    loader = kseg.data.Loader(data, batch_size=4, size=(16, 16), augment=augment)
    val = kseg.data.Loader(data, batch_size=4, shuffle=False)
    history = model.fit(loader, epochs=8, validation_data=val, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_iou"][-1] > 0.9
    assert all(np.isfinite(values).all() for values in history.values())
    report = kseg.evaluation.evaluate(model, data)
    np.testing.assert_allclose(report.class_iou.mean(), history["val_iou"][-1], atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    found = kseg.predict(again, images[0])
    truth = labels[0] if overlap else labels[0, ..., None] == np.arange(count)
    assert (found.masks == truth)[1:].mean() > 0.9


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="exports are TensorFlow's")
def test_exports_say_what_to_do_elsewhere(tmp_path):
    import kseg

    model = FCN(VGG16(widths=(2, 2, 2, 2, 2), filters=2, name="vgg16"), 3, stride=32)
    for export in (kseg.export.saved_model, kseg.export.tflite):
        with pytest.raises(SettingsError, match="KERAS_BACKEND=tensorflow kseg export"):
            export(model, tmp_path / "model.tflite", size=(32, 32))
    assert not list(tmp_path.iterdir())
