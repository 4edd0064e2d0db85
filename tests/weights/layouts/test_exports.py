"""Exports of imported networks, against the programs that own the weights: each is loaded again and compared."""

import numpy as np
import pytest

import kseg
from kseg.weights import import_weights
from tests.weights.layouts.conftest import image_of, randomised, torch_input, torch_logits

pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.tensorflow]
SIZE = (96, 128)
CLASSES = 5


def smp(name, needs):
    needs("torchvision")
    net = getattr(needs("segmentation_models_pytorch"), name)
    return net("resnet18", encoder_weights=None, classes=CLASSES), lambda output: output


def torchvision(name, needs):
    make = getattr(needs("torchvision").models.segmentation, f"{name}_mobilenet_v3_large")
    return make(weights=None, weights_backbone=None, num_classes=CLASSES), lambda output: output["out"]


def huggingface(name, needs):
    """A ResNet of the Hugging Face hub as the backbone of a head that has no weights yet."""
    needs("torchvision")
    transformers = needs("transformers")
    config = transformers.ResNetConfig(
        depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic"
    )
    return transformers.ResNetModel(config), None


NETS = {
    "smp DeepLabV3": smp,
    "smp DeepLabV3Plus": smp,
    "smp PSPNet": smp,
    "torchvision deeplabv3": torchvision,
    "torchvision lraspp": torchvision,
    "huggingface UNet": huggingface,
    "huggingface DeepLabV3": huggingface,
}


@pytest.fixture(params=NETS)
def network(request, needs, folder):
    """An imported network, an image, and the logits of the program that owns the weights."""
    torch, image = needs("torch"), image_of(*SIZE)
    net, logits_of = NETS[request.param](request.param.partition(" ")[2], needs)
    torch.save(randomised(net).state_dict(), folder / "net.pth")
    model = import_weights(folder / "net.pth").model
    if logits_of is None:
        model = getattr(kseg.models, request.param.partition(" ")[2])(model, CLASSES)
        return model, image, np.asarray(model(image[None].astype("f4"), training=False))[0]
    with torch.no_grad():
        return model, image, torch_logits(logits_of(net(torch_input(image))))


def close(found, expected, what):
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{what}: {worst:.1e} of the largest logit {np.abs(expected).max():.3g}")
    assert found.shape == expected.shape
    assert worst <= 1e-4
    level = expected.mean((0, 1))  # random networks favour one class everywhere
    assert ((found - level).argmax(-1) == (expected - level).argmax(-1)).mean() >= 0.9999


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_logits_of_files(network, kind, folder):
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    model, image, expected = network
    getattr(kseg.export, kind)(model, folder / f"m.{kind}", output="logits", size=SIZE)
    found = np.asarray(kseg.export.load(folder / f"m.{kind}", trust=True)(image[None].astype("f4")))[0]
    close(found, expected, f"{model.name} as {kind}")


def test_logits_and_answers_of_saved_models(network, folder):
    """Keras's own SavedModel, which gives the logits, and kseg's, which answers with masks and confidence."""
    import tensorflow as tf

    model, image, expected = network
    model.export(folder / "keras", verbose=False)
    images = tf.constant(image[None].astype("f4"))
    loaded = tf.saved_model.load(str(folder / "keras"))
    close(loaded.serve(images).numpy()[0], expected, f"{model.name} saved")
    kseg.export.saved_model(model, folder / "m", output="logits", dtype="float32", confidence=True)
    loaded = tf.saved_model.load(str(folder / "m" / "1"))
    served = loaded.signatures["serving_default"](images=images)
    probabilities = tf.nn.softmax(expected).numpy()
    assert (served["mask"].numpy()[0] == probabilities.argmax(-1)).mean() >= 0.9999
    np.testing.assert_allclose(served["confidence"].numpy()[0], probabilities.max(-1), atol=1e-3)
