import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg import backbones
from kseg.backbones import EfficientNetLite, ResNet, from_classifier
from kseg.errors import ModelError
from kseg.models import UNet

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter


def small(**changes):
    return ResNet(18, filters=2, **changes)


@pytest.mark.full
def test_contract(tmp_path):
    model = UNet(small(), 3, filters=(6, 5, 4, 3, 2), convolutions=1, score_kernel=1, momentum=0.8)
    check_segmenter(model, tmp_path)


@pytest.mark.parametrize(("depth", "expected"), [(18, 14_328_209), (50, 32_521_105)])
def test_parameters_of_segmentation_models_pytorch(depth, expected):
    """smp.Unet("resnet18" and "resnet50", classes=1), whose count without the encoder is added to the encoder's."""
    decoder = UNet(small(), 1)
    backbone = {18: 11_176_512, 50: 23_508_032}[depth]  # torchvision's resnet less its fc
    skips = {18: (512, 256, 128, 64, 64), 50: (2048, 1024, 512, 256, 64)}[depth]
    counted, channels = 0, skips[0]
    for width, skip in zip(decoder.filters, (*skips[1:], 0), strict=True):
        counted += (channels + skip) * width * 9 + width * width * 9 + 2 * 2 * width
        channels = width
    assert counted + 9 * channels + 1 + backbone == expected
    own = sum(int(np.prod(v.shape)) for v in decoder.trainable_variables)
    own -= sum(int(np.prod(v.shape)) for v in decoder.backbone.trainable_variables)
    channels, counted = 16, 0
    for width, skip in zip((256, 128, 64, 32, 16), (8, 4, 2, 2, 0), strict=True):
        counted += (channels + skip) * width * 9 + width * width * 9 + 2 * 2 * width
        channels = width
    assert own == counted + 9 * channels + 1


def test_a_decoder_in_numpy():
    """Two blocks on a backbone of stride 4, by loops over pixels."""
    image = x = keras.Input((None, None, 3))
    stages = {}
    for number in (1, 2):
        x = keras.layers.Conv2D(2, 2, 2, name=f"own{number}")(x)
        stages[f"stage{number}"] = x
    model = UNet(backbones.Backbone(image, stages, output_stride=4), 2, filters=(9, 3, 2), convolutions=1)
    pixels = np.random.default_rng(0).uniform(0, 1, (1, 8, 12, 3)).astype("float32")
    maps = {name: np.asarray(value)[0] for name, value in model.backbone(pixels).items()}
    x = maps["stage2"]
    for number, skip in ((1, maps["stage1"]), (2, None)):
        x = x.repeat(2, axis=0).repeat(2, axis=1)
        x = x if skip is None else np.concatenate([x, skip], -1)
        kernel = np.asarray(model.get_layer(f"decoder{number}_1_conv").kernel)
        x = np.maximum(convolved(x, kernel) / np.sqrt(1 + 1e-5), 0)
    kernel, bias = map(np.asarray, model.get_layer("score").weights)
    np.testing.assert_allclose(
        np.asarray(model(pixels))[0], convolved(x, kernel) + bias, rtol=1e-4, atol=1e-5
    )


def convolved(x, kernel):
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows, columns = x.shape[:2]
    parts = [padded[i : i + rows, j : j + columns] @ kernel[i, j] for i in range(3) for j in range(3)]
    return np.sum(parts, axis=0)


def test_a_filled_image_is_not_squeezed():
    """On a backbone that fills the image up, the logits of a corner are those of the larger image's corner."""
    model = UNet(EfficientNetLite("lite0", weights=None, padding="image"), 2, filters=(4, 4, 4, 4, 4))
    pixels = np.full((1, 64, 64, 3), 127, "float32")  # 127 is what the normalisation turns to zero
    pixels[:, :33, :47] = np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3))
    np.testing.assert_allclose(
        np.asarray(model(pixels[:, :33, :47])), np.asarray(model(pixels))[:, :33, :47], rtol=1e-3, atol=1e-4
    )


def test_dilated_stages_and_missing_strides():
    assert (
        len([n for n in names(UNet(small(output_stride=8), 2, filters=(4, 3, 2))) if n.startswith("up")]) == 3
    )
    x = image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3, 4, 4)(x)
    stages = {"stage2": x, "stage3": keras.layers.Conv2D(3, 2, 2)(x)}
    model = UNet(backbones.Backbone(image, stages, output_stride=8), 2, filters=(4, 3, 2))
    joined = [n for n in names(model) if n.startswith("join")]
    assert joined == ["join1"]
    assert model(np.zeros((1, 40, 24, 3))).shape == (1, 40, 24, 2)


def names(model):
    return [layer.name for layer in model.layers]


def test_what_cannot_be_built():
    with pytest.raises(ModelError, match="needs 5 numbers, got 2"):
        UNet(small(), 2, filters=(4, 3))
    padded = backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=2, padding="original")
    with pytest.raises(ModelError, match="100 pixels"):
        UNet(padded, 2)


def test_on_a_classifier_without_padding():
    """Maps smaller than the image's cells, as InceptionV3 has them."""
    image = x = keras.Input((None, None, 3))
    for number in range(3):
        x = keras.layers.Conv2D(3, 3, 2, activation="relu", name=f"c{number}")(x)
    model = UNet(from_classifier(keras.Model(image, x), name="valid"), 2, filters=(4, 3, 2))
    assert model(np.zeros((1, 33, 47, 3))).shape == (1, 33, 47, 2)
