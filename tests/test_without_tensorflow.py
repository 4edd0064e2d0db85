"""Keras on JAX or PyTorch, where nobody installed TensorFlow: what works, and what says that it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Nothing of TensorFlow can be imported, as if it were not installed.
SCRIPT = """
import sys

for name in ("tensorflow", "tensorflow_datasets", "tf2onnx", "tensorboard", "ai_edge_litert", "flatbuffers"):
    sys.modules[name] = None

import keras
import numpy as np

import kseg
from kseg.errors import KsegError

random = np.random.default_rng(0)
masks = np.zeros((6, 48, 64), np.uint8)
masks[:, 12:40, 20:50] = 1
images = (masks[..., None] * 120 + random.integers(0, 100, (6, 48, 64, 3))).astype(np.uint8)
data = kseg.data.from_arrays(images, masks, classes=["ground", "thing"])

preset = kseg.models.from_preset("people")
trained = kseg.models.FCN(kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=2, name="vgg16"), 3, stride=32)
trained.classes = ("ground", "sky", "thing")
model = trained.change_classes(classes=data.classes)
model.compile(learning_rates={"backbone": 0.5})
augment = kseg.data.Augment(mirror=True, scale=(0.8, 1.25), brightness=0.2, blur=1)
settings = {"batch_size": 2, "size": (32, 32), "augment": augment, "seed": 7}
history = model.fit(kseg.data.Loader(data, **settings), epochs=2, verbose=0, validation_data=(images, masks))
assert np.isfinite(history.history["val_loss"]).all(), history.history

unbroken = kseg.data.Loader(data, **settings)
epochs = [list(unbroken) for _ in range(3)]
resumed = kseg.data.Loader(data, first_epoch=2, **settings)
assert all(np.array_equal(a, b) for one, other in zip(epochs[2], resumed) for a, b in zip(one, other))
assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])

six = {"channels": 6, "value_range": (0, 1000), "multilabel": True}
bands = kseg.data.from_arrays(random.uniform(0, 1000, (4, 20, 24, 6)), random.integers(0, 2, (4, 20, 24, 2)), **six)
loader = kseg.data.Loader(bands, batch_size=2, size=(16, 16), augment=kseg.data.Augment(mirror=True, contrast=0.2))
image = keras.Input((None, None, 6))
several = keras.Model(image, keras.layers.Conv2D(2, 1)(image * 1e-3))
several.compile("adam", kseg.losses.Dice(mode="multilabel"), metrics=[kseg.metrics.IoU(2, mode="multilabel")])
assert np.isfinite(several.fit(loader, epochs=2, verbose=0).history["loss"]).all()

crf = kseg.inference.DenseCRF(iterations=2)
assert kseg.inference.Predictor(model, crf=crf)(images[0]).shape == (48, 64)
assert 0 <= kseg.evaluation.evaluate(model, data).mean_iou <= 1
assert kseg.predict(model, images[0]).areas()
assert preset.classes == ("background", "person")
model.save("mine.keras")
model.save_to_preset("mine")
again = kseg.models.from_preset("mine")
one, other = (keras.ops.convert_to_numpy(m(images[:1].astype("float32"))) for m in (model, again))
np.testing.assert_array_equal(one, other)

REFUSED = {
    "pipeline": lambda: kseg.data.pipeline(data, batch_size=2),
    "fit": lambda: kseg.training.fit(model, kseg.training.Recipe(), data, None, "run"),
    "tflite": lambda: kseg.export.tflite(model, "model.tflite", size=(32, 32)),
    "onnx": lambda: kseg.export.onnx(model, "model.onnx", size=(32, 32)),
    "saved_model": lambda: kseg.export.saved_model(model, "served"),
    "strategy": lambda: kseg.training.strategy("mirrored").__enter__(),
}
for name, call in REFUSED.items():
    try:
        call()
    except KsegError as error:
        print(name, "|", error)
    else:
        raise AssertionError(f"{name} ran")
assert sys.modules["tensorflow"] is None
"""


def test_what_is_installed_without_it_is_a_part_of_what_is_installed():
    whole, core = (
        (ROOT / name).read_text("utf-8").splitlines() for name in ("requirements.txt", "requirements-core.txt")
    )
    assert set(core) < set(whole)
    assert not any(line.startswith(("tensor", "tf")) for line in core)


@pytest.mark.full
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_script_from_data_to_a_saved_preset(backend, tmp_path):
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(line.split(" | ", 1) for line in done.stdout.splitlines() if " | " in line)
    for name, words in {
        "pipeline": "pip install",
        "fit": "kseg.data.Loader",
        "tflite": "KERAS_BACKEND=tensorflow",
        "onnx": "KERAS_BACKEND=tensorflow",
        "saved_model": "KERAS_BACKEND=tensorflow",
        "strategy": "pip install",
    }.items():
        assert words in said[name], (name, said[name])
