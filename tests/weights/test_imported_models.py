"""Imported networks are exported within 1e-4 of the largest logit, and trained on for other classes."""

import numpy as np
import pytest

import kseg
from kseg.weights import import_weights
from tests.weights.conftest import caffemodel
from tests.weights.layouts import test_mmseg, test_semseg, test_torchvision
from tests.weights.layouts.conftest import bilinear, image_of

SIZE = (65, 97)


def caffe_fcn():
    """FCN-8s with fc6 and fc7 of four filters, as a caffemodel."""
    rng, layers, inputs = np.random.default_rng(0), {}, 3

    def conv(name, outputs, side, inputs):
        kernel = rng.normal(0, (1.7 / (inputs * side * side)) ** 0.5, (outputs, inputs, side, side))
        layers[name] = ("Convolution", [kernel.astype("f4"), rng.normal(0, 0.2, outputs).astype("f4")])

    for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for number in range(1, count + 1):
            conv(f"conv{block}_{number}", width, 3, inputs)
            inputs = width
    for name, outputs, side, inputs in (("fc6", 4, 7, 512), ("fc7", 4, 1, 4), ("score_fr", 3, 1, 4)):
        conv(name, outputs, side, inputs)
    conv("score_pool4", 3, 1, 512)
    conv("score_pool3", 3, 1, 256)
    for name, side in (("upscore2", 4), ("upscore_pool4", 4), ("upscore8", 16)):
        layers[name] = ("Deconvolution", [bilinear(3, side)])
    return caffemodel(layers)


def sane(arrays):
    """The same arrays with kernels small enough that logits stay near one."""

    def scaled(array):
        return array * np.float32((1.6 / array[0].size) ** 0.5) if array.ndim == 4 else array

    return {key: scaled(array) for key, array in arrays.items()}


SOURCES = {
    "semseg/pspnet": lambda: test_semseg.narrow_state(),
    "mmseg/pspnet": lambda: test_mmseg.narrow_state("pspnet"),
    "mmseg/fcn": lambda: test_mmseg.narrow_state("fcn"),
    "mmseg/deeplabv3": lambda: test_mmseg.narrow_state("deeplabv3"),
    "mmseg/deeplabv3plus": lambda: test_mmseg.narrow_state("deeplabv3plus"),
    "torchvision/fcn": lambda: test_torchvision.narrow_state(False),
    "caffe/fcn": None,
}


@pytest.fixture(params=SOURCES)
def imported(request, tmp_path):
    make = SOURCES[request.param]
    path = tmp_path / ("net.npz" if make else "net.caffemodel")
    if make:
        np.savez(path, **sane(make()))
    else:
        path.write_bytes(caffe_fcn())
    found = import_weights(path)
    assert found.source == request.param
    return found.model


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_logits_of_exports(imported, kind, tmp_path):
    image = image_of(*SIZE)[None].astype("f4")
    logits = np.asarray(imported(image, training=False))
    out = tmp_path / f"m.{kind}"
    getattr(kseg.export, kind)(imported, out, output="logits", size=SIZE)
    found = np.asarray(kseg.export.load(out, trust=True)(image))
    worst = np.abs(found - logits).max() / np.abs(logits).max()
    print(f"{type(imported).__name__} as {kind}: {worst:.1e}")
    assert found.shape == logits.shape
    assert worst <= 1e-4


@pytest.mark.slow
@pytest.mark.tensorflow
def test_masks_and_confidence_of_a_saved_model(imported, tmp_path):
    import tensorflow as tf

    image = image_of(*SIZE)[None].astype("f4")
    probabilities = tf.nn.softmax(imported(image, training=False)).numpy()
    kseg.export.saved_model(imported, tmp_path / "m", output="logits", dtype="float32", confidence=True)
    served = tf.saved_model.load(str(tmp_path / "m" / "1")).signatures["serving_default"](
        images=tf.constant(image)
    )
    assert (served["mask"].numpy() == probabilities.argmax(-1)).mean() >= 0.9999
    np.testing.assert_allclose(served["confidence"].numpy(), probabilities.max(-1), atol=1e-4)
