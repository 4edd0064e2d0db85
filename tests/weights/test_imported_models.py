"""Imported networks are exported within 1e-4 of the largest logit, and trained on for other classes."""

import numpy as np
import pytest

import kseg
from kseg.weights import import_weights
from tests.weights.conftest import caffemodel
from tests.weights.layouts import (
    test_caffe_deeplab,
    test_caffe_fcn,
    test_caffe_pspnet,
    test_kerashub,
    test_mmseg,
    test_mobilenet_v2,
    test_semseg,
    test_smp,
    test_torchvision,
)
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


def state(make):
    """A state dict in a file."""

    def write(folder):
        np.savez(folder / "net.npz", **sane(make()))
        return folder / "net.npz"

    return write


def caffe(make):
    """A caffemodel's content, or the layers of one, in a file."""

    def write(folder):
        made, path = make(), folder / "net.caffemodel"
        path.write_bytes(made if isinstance(made, bytes) else caffemodel(made))
        return path

    return write


def pspnet_blobs():
    net = test_caffe_pspnet.PSPNet(89, 5)
    return net.layers | net.norms


# Source -> what writes a file of it into a folder.
SOURCES = {
    "semseg/pspnet": state(test_semseg.narrow_state),
    "mmseg/pspnet": state(lambda: test_mmseg.narrow_state("pspnet")),
    "mmseg/fcn": state(lambda: test_mmseg.narrow_state("fcn")),
    "mmseg/deeplabv3": state(lambda: test_mmseg.narrow_state("deeplabv3")),
    "mmseg/deeplabv3plus": state(lambda: test_mmseg.narrow_state("deeplabv3plus")),
    "torchvision/fcn": state(lambda: test_torchvision.narrow_state(False)),
    "torchvision/deeplabv3": state(lambda: test_torchvision.narrow_state(True)),
    "smp/pspnet": state(lambda: test_smp.narrow_pspnet(16)),
    "kerashub/deeplabv3plus": lambda folder: test_kerashub.as_preset(test_kerashub.narrow_layers(), folder / "net"),
    "tensorflow/deeplabv3_mobilenet_v2": state(test_mobilenet_v2.narrow_checkpoint),
    "caffe/fcn": caffe(caffe_fcn),
    "caffe/deconvnet": caffe(test_caffe_fcn.deconvnet_blobs),
    "caffe/deeplabv1": caffe(lambda: test_caffe_deeplab.multi_scale(3, 1024, 12).layers),
    "caffe/deeplabv2_vgg16": caffe(lambda: test_caffe_deeplab.v2_vgg16().layers),
    "caffe/deeplabv2_resnet101": caffe(lambda: test_caffe_deeplab.ResNet101().layers),
    "caffe/pspnet": caffe(pspnet_blobs),
}


@pytest.fixture(params=SOURCES)
def imported(request, tmp_path):
    found = import_weights(SOURCES[request.param](tmp_path))
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
