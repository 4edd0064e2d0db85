import keras
import numpy as np
import pytest

from kseg.backbones import Backbone, EfficientNetLite
from kseg.models import DeepLabV3Plus
from tests.models.contracts import check_image_level, check_segmenter


def small(**arguments):
    backbone = EfficientNetLite("lite0", last_stage="stage4", weights=None)
    settings = {"rates": (2, 3), "filters": 8, "low_level_filters": 4, **arguments}
    return DeepLabV3Plus(backbone, 3, **settings)


def test_contract(tmp_path):
    check_segmenter(small(low_level="stage3", dropout=0.25, momentum=0.8), tmp_path)


@pytest.mark.slow
def test_without_rates(tmp_path):
    check_segmenter(small(rates=()), tmp_path, sizes=((33, 47),))


def test_head_as_published():
    """Parameters of the paper's head on 2048 and 256 channels, counted by hand (section 4.1, released code)."""
    image = keras.Input((None, None, 3))
    low = keras.layers.Conv2D(256, 1, use_bias=False)(image)
    deep = keras.layers.Conv2D(2048, 1, strides=16, use_bias=False)(low)
    backbone = Backbone(image, {"stage2": low, "stage5": deep})
    model = DeepLabV3Plus(backbone, 21)
    own = sum(int(np.prod(v.shape)) for v in model.trainable_variables) - 3 * 256 - 256 * 2048

    def pointwise(inputs, filters):
        return inputs * filters + 2 * filters

    def separable(inputs, filters):
        return 9 * inputs + 2 * inputs + pointwise(inputs, filters)

    aspp = pointwise(2048, 256) + 3 * separable(2048, 256) + pointwise(2048, 256) + pointwise(5 * 256, 256)
    decoder = pointwise(256, 48) + separable(256 + 48, 256) + separable(256, 256)
    assert own == aspp + decoder + 256 * 21 + 21


def test_rates_are_the_distance_of_taps():
    model = DeepLabV3Plus(EfficientNetLite("lite0", last_stage="stage3", weights=None), 3, filters=8)
    assert [model.get_layer(f"aspp_{rate}_dwconv").dilation_rate for rate in (6, 12, 18)] == [
        (6, 6),
        (12, 12),
        (18, 18),
    ]


@pytest.mark.slow
def test_int8_has_builtins_only(tmp_path):
    from kseg import export

    model = small()
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    more = {"precision": "int8", "calibration": pictures, "min_agreement": 0}  # untrained
    export.tflite(model, tmp_path / "m.tflite", size=(64, 64), **more)
    operations = export.load(tmp_path / "m.tflite").operations
    known = {"CONV_2D", "DEPTHWISE_CONV_2D", "RESIZE_BILINEAR", "MEAN", "CONCATENATION", "QUANTIZE"}
    assert set(operations) <= known | {"DEQUANTIZE", "ADD", "MUL", "PAD"}


def test_without_the_image_level():
    check_image_level(DeepLabV3Plus)
