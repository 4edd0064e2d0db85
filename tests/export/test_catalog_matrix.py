"""Every network of the catalog in every format, and every layer of kseg in one small network."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg import layers

NAMES = kseg.models.names()
LARGE = tuple(name for name in NAMES if "vgg16" in name or "resnet" in name)
SMALL = tuple(name for name in NAMES if name not in LARGE)

# One network in every format, in a process of its own: those on VGG16 take gigabytes. Head weights that start at zero
# are drawn, so that there is something to compare. Compared on three pictures of CamVid's validation split, where it
# is there, else on noise. Prints a line a file, and fails after the last one.
PROGRAM = """
import gc, sys, tempfile, traceback
from pathlib import Path
import numpy as np
import kseg

name, folder, root, *kinds = sys.argv[1:]
model = kseg.models.build(name, 11)
rng = np.random.default_rng(0)
for v in model.trainable_variables:
    if len(v.shape) == 4 and not np.asarray(v).any():
        v.assign(rng.normal(0, 0.02, v.shape))
size, failed = (180, 240), []
if Path(root).is_dir():
    images = kseg.export.calibration_images(kseg.data.load("camvid", root, "val"), size, count=3)
else:
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8)]


def export(kind, path):
    if kind == "saved_model":
        return kseg.export.saved_model(model, path, size=size, images=images)
    if kind == "onnx":
        return kseg.export.onnx(model, path + ".onnx")  # at two sizes, of which one is odd
    if kind == "onnx_static":
        return kseg.export.onnx(model, path + ".onnx", size=size, images=images)
    if kind == "tflite_dynamic":
        return kseg.export.tflite(model, path + ".tflite", dynamic=True)
    int8 = {"calibration": images, "precision": "int8", "min_agreement": 0}  # untrained: scores lie close together
    more = int8 if kind == "int8" else {}
    return kseg.export.tflite(model, path + ".tflite", size=size, images=images, **more)


for kind in kinds:
    try:
        with tempfile.TemporaryDirectory(dir=folder) as place:  # a gigabyte each
            parity = export(kind, f"{place}/m")
        assert parity.largest_logit > 0, "all logits are zero"
        assert kind == "int8" or parity.equal, f"logits differ: {parity}"
        assert kind == "int8" or parity.agreement >= 0.999 or parity.indices, f"classes differ: {parity}"
        print(name, kind, parity, flush=True)
    except Exception:
        failed.append(kind)
        traceback.print_exc()
    gc.collect()
sys.exit(f"{name}: {', '.join(failed)}" if failed else 0)
"""


def export(name, folder, *kinds):
    pytest.importorskip("onnxruntime")
    root = Path(os.environ.get("KSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / "camvid"
    subprocess.run([sys.executable, "-c", PROGRAM, name, str(folder), str(root), *kinds], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_small_networks(name, tmp_path):
    export(name, tmp_path, "tflite", "int8", "tflite_dynamic", "saved_model", "onnx", "onnx_static")


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_networks(name, tmp_path):
    export(name, tmp_path, "tflite", "saved_model", "onnx_static")


def every_layer():
    """Pooling with indices, holes, pyramids, unpooling, and each way of enlarging and cropping."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Normalize(mean=(127, 127, 127), std=(60, 60, 60))(image)
    x = like = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x, argmax = layers.MaxPoolingWithArgmax2D(2)(x)
    x = layers.AtrousConv2D(6, 3, rate=2, activation="relu", name="atrous")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", dilation_rate=3, name="depthwise")(x)
    x = layers.AtrousSpatialPyramidPooling(6, rates=(1, 2), name="aspp")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxUnpooling2D(2)([x, argmax, like])
    small = keras.layers.AveragePooling2D(4, padding="same")(x)
    small = layers.PyramidPooling(4, bins=(1, 2, 3), name="pyramid")(layers.PadToLeast(4)(small))
    wide = layers.BilinearUpsampling(4, padding="valid", name="upsampling")(small)
    zoomed = layers.ZoomLike(4)([small, wide])
    x = keras.layers.Add()(
        [
            keras.layers.Conv2D(4, 1)(layers.ResizeLike(align_corners=corners)([one, image]))
            for one, corners in ((small, True), (zoomed, False), (wide, False), (x, False))
        ]
    )
    return keras.Model(image, x, name="every_layer")


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(1)
    return every_layer()


@pytest.mark.full
def test_every_layer_in_tflite(net, tmp_path):
    path = tmp_path / "n.tflite"
    assert kseg.export.tflite(net, path, dynamic=True).equal  # at two sizes, of which one is odd
    found = kseg.export.load(path)
    for size in ((34, 22), (21, 33)):
        image = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32")
        np.testing.assert_allclose(found(image), net(image), atol=1e-4)  # no maximum moves in these two


@pytest.mark.slow
def test_every_layer_at_a_fixed_size_and_as_a_saved_model(net, tmp_path):
    assert kseg.export.tflite(net, tmp_path / "n.tflite", size=(21, 33)).equal
    assert kseg.export.saved_model(net, tmp_path / "served").equal


@pytest.mark.parity
def test_every_layer_in_onnx(net, tmp_path):
    pytest.importorskip("onnxruntime")
    assert kseg.export.onnx(net, tmp_path / "n.onnx").equal
    assert kseg.export.onnx(net, tmp_path / "s.onnx", size=(21, 33)).equal
