import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, EfficientNetLite
from kseg.models import FCN

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_fresh_process, check_segmenter

# Shelhamer et al., released net.py: offsets of the crops, for an image padded by 100
OFFSETS = {32: [("logits", 19)], 16: [("crop_pool4", 5), ("logits", 27)]}
OFFSETS[8] = [("crop_pool4", 5), ("crop_pool3", 9), ("logits", 31)]


def small_vgg(padding="same"):
    return VGG16(padding=padding, filters=8, dropout=0.25, name="vgg16")


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite("lite0", weights=None)


@pytest.mark.parametrize(
    "stride", [8, *(pytest.param(stride, marks=pytest.mark.slow) for stride in (16, 32))]
)
def test_contract(stride, lite0, tmp_path):
    check_segmenter(FCN(lite0, 5, stride=stride, skip_scales=(0.5, 0.25)), tmp_path, sizes=((64, 96), (33, 47)))


@pytest.mark.full
def test_contract_original_padding(tmp_path):
    check_segmenter(
        FCN(small_vgg("original"), 3, stride=8, learned_upsampling="all"), tmp_path, sizes=((33, 47),)
    )


@pytest.mark.full
def test_fresh_process(lite0, tmp_path):
    check_fresh_process(FCN(lite0, 5), tmp_path)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_offsets_as_released(stride):
    model = FCN(small_vgg("original"), 4, stride=stride)
    assert [(name, model.get_layer(name).offset) for name, _ in OFFSETS[stride]] == OFFSETS[stride]


@pytest.mark.parametrize("padding", ["original", "same"])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_scores_stand_over_their_pixels(padding, stride):
    """Where a stage's score is a linear ramp over the image, the logits are that ramp: nothing is shifted."""
    model = FCN(small_vgg(padding), 2, stride=stride)
    column = np.arange(256.0)
    for name in ("fr", "pool4", "pool3"):
        ramp = _ramp(model, name)
        if ramp is not None:
            inner = np.broadcast_to(column[64:192], (128, 128))
            np.testing.assert_allclose(ramp[0, 64:192, 64:192, 0], inner, atol=1e-2)


def _ramp(model, name):
    """The logits when the score layer `name` yields the image column under its cells and the others zero."""
    names = [layer.name for layer in model.layers]
    if f"score_{name}" not in names:
        return None
    start, stride = _coordinates(model.backbone.padding)[name]
    tensors = [
        model.get_layer(f"score_{n}").output for n in ("fr", "pool4", "pool3") if f"score_{n}" in names
    ]
    tail = keras.Model([model.input, *tensors], model.output)
    shapes = keras.Model(model.input, tensors).compute_output_shape((1, 256, 256, 3))
    values = [np.zeros(s, "float32") for s in shapes]
    index = [t.name for t in tensors].index(model.get_layer(f"score_{name}").output.name)
    values[index][:] = (start + stride * np.arange(shapes[index][2]))[None, None, :, None]
    return np.asarray(tail([np.zeros((1, 256, 256, 3), "float32"), *values]))


def _coordinates(padding):
    """Image coordinate of cell 0 and the step: pooling maps i to 2 i + 0.5, fc6 without padding adds 3 cells."""
    first = {"same": 0.0, "original": 1 - 100.0}[padding]
    pools = {"pool3": (first + 3.5, 8), "pool4": (first + 7.5, 16)}
    return {**pools, "fr": (first + 15.5 + (3 * 32 if padding == "original" else 0), 32)}


def test_skips_start_silent():
    """Zero-initialised scores: FCN-8s that takes FCN-32s's deepest scores begins as FCN-32s, up to interpolation."""
    model = FCN(small_vgg(), 3, stride=8)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(model(image)), 0)


def test_at_once_scales_its_skips():
    model = FCN(small_vgg(), 3, stride=8, skip_scales=(0.01, 0.0001))
    assert model.get_layer("scale_pool4").scale == 0.01
    assert model.get_layer("scale_pool3").scale == 0.0001


@pytest.mark.parametrize(
    ("learned", "expected"), [("none", 0), ("intermediate", 2 * 9 * 16), ("all", 9 * (16 + 16 + 256))]
)
def test_learned_upsampling(learned, expected):
    model = FCN(small_vgg(), 3, stride=8, learned_upsampling=learned)
    assert sum(np.prod(v.shape) for v in model.variables if "upsampling" in v.path) == expected


@pytest.mark.full
def test_mixed_precision_keeps_logits_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = FCN(small_vgg(), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    check_segmenter(model, tmp_path, sizes=((32, 32),))
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert twin.get_layer("fc6").compute_dtype == "bfloat16"


def test_frozen_backbone_survives_saving(tmp_path):
    model = FCN(small_vgg(), 3)
    model.backbone.trainable = False
    assert {v.path.split("/")[-2] for v in model.trainable_variables} == {
        "score_fr",
        "score_pool4",
        "score_pool3",
    }
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    assert len(twin.trainable_variables) == 6


@pytest.mark.parametrize("arguments", [{"stride": 4}, {"learned_upsampling": "some"}])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        FCN(small_vgg(), 3, **arguments)
