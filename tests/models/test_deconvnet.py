import resource
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg import models
from kseg.backbones import VGG16, EfficientNetLite, VGG16BatchNorm
from kseg.errors import ModelError
from kseg.models import DeconvNet

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_fresh_process, check_segmenter

# Noh et al., released prototxt: output channels of the decoder's layers
RELEASED = {"deconv6": 512, "deconv5_1": 512, "deconv5_2": 512, "deconv5_3": 512, "deconv4_1": 512,
            "deconv4_2": 512, "deconv4_3": 256, "deconv3_1": 256, "deconv3_2": 256, "deconv3_3": 128,
            "deconv2_1": 128, "deconv2_2": 64, "deconv1_1": 64, "deconv1_2": 64}  # fmt: skip


def small_backbone(filters=8, fc6_padding="valid"):
    return VGG16BatchNorm(widths=(2, 3, 4, 5, 6), filters=filters, fc6_padding=fc6_padding, name="vgg")


def test_contract(tmp_path):
    check_segmenter(DeconvNet(small_backbone(), 3, kernel_std=0.5), tmp_path, sizes=((64, 96), (33, 47)))


@pytest.mark.full
def test_contract_convolutional(tmp_path):
    model = DeconvNet(small_backbone(4, "same"), 3, kernel_std=None)
    check_segmenter(model, tmp_path, sizes=((33, 47),))


def test_decoder_mirrors_the_encoder():
    """Widths an eighth of the released ones: a stage's own in front, the shallower stage's last."""
    model = DeconvNet(VGG16BatchNorm(widths=(8, 16, 32, 64, 64), filters=4, name="vgg"), 2)
    found = {layer.name: 8 * layer.filters for layer in model.layers if layer.name.startswith("deconv")}
    assert found == RELEASED
    order = [layer.name for layer in model.layers if layer.name.startswith(("deconv", "unpool"))]
    assert [name for name in order if name.startswith("unpool")] == [f"unpool{i}" for i in (5, 4, 3, 2, 1)]
    assert order[:3] == ["deconv6", "unpool5", "deconv5_1"]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 29
    np.testing.assert_allclose(np.asarray(norms[-1].beta), 0.001)
    kernel = np.asarray(model.get_layer("deconv5_1").kernel)
    np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)


def test_values_return_to_where_they_were_the_maxima():
    """The map after an unpooling is zero except where the encoder's pooling found its maxima."""
    model = DeconvNet(small_backbone(), 3, kernel_std=0.5)
    _, pooled_from = model.backbone.switches("stage1")
    parts = keras.Model(model.input, [pooled_from, model.get_layer("unpool1").output])
    features, unpooled = (
        np.asarray(x) for x in parts(np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3)))
    )
    assert features.shape == unpooled.shape == (1, 33, 47, 2)
    for y in range(0, 33, 2):
        for x in range(0, 47, 2):
            window, found = features[0, y : y + 2, x : x + 2, 0], unpooled[0, y : y + 2, x : x + 2, 0].copy()
            found[np.unravel_index(window.argmax(), window.shape)] = 0
            np.testing.assert_array_equal(found, 0)


@pytest.mark.full
def test_small_images_are_filled_up_and_large_ones_are_not():
    """From 193 pixels on the deepest map fills fc6's window by itself: 7x7 becomes one value."""
    model = DeconvNet(small_backbone(), 2)
    fc6 = keras.Model(model.input, [model.get_layer("pad6").output, model.get_layer("fc6").output])
    for size, deepest, bottleneck in ((20, 7, 1), (193, 7, 1), (224, 7, 1), (256, 8, 2)):
        padded, value = fc6(np.zeros((1, size, 224, 3), "float32"))
        assert (padded.shape[1], value.shape[1]) == (deepest, bottleneck)


@pytest.fixture(scope="module")
def on_lite0():
    backbone = EfficientNetLite("lite0", weights=None, padding="image", name="lite0")
    return DeconvNet(backbone, 3, depths=(1, 2, 1, 2), kernel_std=None)


@pytest.mark.full
def test_contract_on_lite0(on_lite0, tmp_path):
    check_segmenter(on_lite0, tmp_path, sizes=((33, 47),))


@pytest.mark.full
def test_lite0_is_mirrored_from_stride_32_to_2(on_lite0):
    """Widths of the released blocks' outputs at strides 2 to 16 (efficientnet_lite_builder.py), deepest first."""
    assert on_lite0.backbone.widths == (16, 24, 40, 112)
    found = [layer.filters for layer in on_lite0.layers if layer.name.startswith("deconv")]
    assert found == [112, 112, 40, 24, 24, 16, 16]
    maps = keras.Model(on_lite0.input, [on_lite0.get_layer(f"unpool{i}").output for i in (4, 3, 2, 1)])
    shapes = [
        tuple(each.shape[1:]) for each in maps(np.zeros((1, 40, 70, 3), "float32"))
    ]  # filled up to 64x96
    assert shapes == [(4, 6, 112), (8, 12, 40), (16, 24, 24), (32, 48, 16)]


def test_lite0_unpools_to_the_maxima_of_what_its_strided_blocks_take(on_lite0):
    """One value a window of 2x2, where the map that enters block2a is largest."""
    narrow = on_lite0.backbone.switches("stage1")[1]
    assert narrow is on_lite0.backbone.get_layer("block2a_expand_conv").input
    parts = keras.Model(on_lite0.input, [narrow, on_lite0.get_layer("unpool1").output])
    features, unpooled = map(np.asarray, parts(np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))))
    assert (unpooled != 0).any()
    for y, x, channel in np.argwhere(unpooled[0] != 0):
        top, left = y // 2 * 2, x // 2 * 2
        assert features[0, y, x, channel] == features[0, top : top + 2, left : left + 2, channel].max()


def test_depths_and_backbones_that_do_not_fit_are_told():
    with pytest.raises(ModelError, match="switches of its backbone; VGG16 has none"):
        DeconvNet(VGG16(filters=4), 2)
    with pytest.raises(ModelError, match=r"depths needs 5 numbers from 1 on, one a stage; got \(1, 2\)"):
        DeconvNet(small_backbone(), 2, depths=(1, 2))
    with pytest.raises(ModelError, match="switches at output_stride=32 and last_stage='stage5' only; got 16"):
        DeconvNet(EfficientNetLite("lite0", output_stride=16, weights=None), 2)


@pytest.mark.slow
def test_learns_one_picture():
    """A few steps on two halves of different colour: the loss falls, and no variable is left out."""
    keras.utils.set_random_seed(0)
    model = DeconvNet(VGG16BatchNorm(widths=(4, 4, 4, 4, 4), filters=None, name="vgg"), 2, kernel_std=None)
    image = np.zeros((2, 32, 32, 3), "float32")
    image[:, :, 16:] = 255
    labels = (image[..., 0] > 0).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, run_eagerly=True)
    before = [np.asarray(v) for v in model.trainable_variables]
    losses = [float(model.train_on_batch(image, labels)) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert (np.asarray(variable) != old).any(), variable.path


def test_mixed_precision_keeps_logits_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = DeconvNet(small_backbone(), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model(np.zeros((1, 33, 40, 3), "float32")).dtype == "float32"
    assert model.get_layer("unpool1").compute_dtype == "bfloat16"


def test_catalog_small():
    model = models.build("deconvnet_small", 21)
    assert model.count_params() < 6e6
    assert model(np.zeros((1, 33, 40, 3), "uint8")).shape == (1, 33, 40, 21)


@pytest.mark.slow
def test_fresh_process(tmp_path):
    check_fresh_process(DeconvNet(small_backbone(), 3, kernel_std=0.5), tmp_path)


@pytest.mark.parametrize("filters", [4, None])
def test_a_single_pixel_goes_in(filters):
    """Smaller than every window: pooling rounds up, and fc6's window is filled up with zeros."""
    model = DeconvNet(small_backbone(filters), 2)
    assert model(np.zeros((1, 1, 1, 3), "float32")).shape == (1, 1, 1, 2)


def exported(filters=4):
    """A small net whose statistics are not those of the start, so that folding them matters."""
    model = DeconvNet(small_backbone(filters, "same"), 3, kernel_std=0.5)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 64), (45, 51)])
def test_litert_runs_it_with_builtin_operations(tmp_path, size):
    """`kseg.export.tflite` refuses a file with other operations; odd sizes are unpooled to themselves."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    model = exported()
    kseg.export.tflite(model, tmp_path / "m.tflite", size=size)
    run = interpreter(str(tmp_path / "m.tflite"))
    run.allocate_tensors()
    names = {each["op_name"] for each in run._get_ops_details()}
    assert not [name for name in names if name.startswith(("Flex", "CUSTOM", "SCATTER"))], names
    image = np.random.default_rng(1).uniform(0, 255, (1, *size, 3)).astype("float32")
    run.set_tensor(run.get_input_details()[0]["index"], image)
    run.invoke()
    found, expected = run.get_tensor(run.get_output_details()[0]["index"]), np.asarray(model(image))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parity
def test_onnx_runs_it_at_any_size(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = exported()
    kseg.export.onnx(model, tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for size in ((64, 64), (45, 51)):
        image = np.random.default_rng(1).uniform(0, 255, (2, *size, 3)).astype("float32")
        found = session.run(None, {session.get_inputs()[0].name: image})[0]
        expected = np.asarray(model(image))
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_xla_trains_it_as_without():
    """The loss before and after a step, compiled by XLA and not.

    Later ones may part: channels that ReLU has silenced leave batch normalisation nothing but rounding to divide by.
    """
    image = np.random.default_rng(0).uniform(0, 255, (2, 37, 41, 3)).astype("float32")
    labels = (image[..., 0] > 127).astype("int32")
    losses = []
    for jit in (True, False):
        keras.utils.set_random_seed(0)
        model = DeconvNet(small_backbone(4, "same"), 2, kernel_std=None)
        assert all(layer.supports_jit for layer in model.layers)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-3), loss, jit_compile=jit)
        losses.append([float(model.train_on_batch(image, labels)) for _ in range(2)])
    assert losses[0][1] < losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.realdata
def test_the_published_net_on_a_real_picture(real_data, tmp_path):
    """Forward, three steps of training, saved and loaded bit-equal; prints seconds and memory (some 6 GB)."""
    dataset = kseg.data.load("voc", real_data / "voc_people", "val")
    crops = kseg.data.object_crops(dataset, size=(224, 224), most_repeats=1)
    batch = next(iter(kseg.data.pipeline(crops, batch_size=2)))
    start = time.perf_counter()
    model = models.build("deconvnet_vgg16", 21, weights=None)
    print(f"\nbuilt in {time.perf_counter() - start:.0f} s")
    first = model(batch[0][:1], training=False)
    assert first.shape == (1, 224, 224, 21)
    assert np.isfinite(first).all()
    sgd = kseg.training.SGD(0.01, momentum=0.9, l2=5e-4)
    model.compile(sgd, kseg.losses.CrossEntropy(), jit_compile=False)
    losses, seconds = [], []
    for _ in range(3):
        start, spent = time.perf_counter(), time.process_time()
        losses.append(float(model.train_on_batch(*batch)))
        seconds.append((time.perf_counter() - start, time.process_time() - spent))
    print(
        f"losses {losses}; seconds and processor seconds of a step of 2 crops: {np.round(seconds, 1).tolist()}"
    )
    # 21 classes alike at the start, and the loss of the same two crops falls.
    np.testing.assert_allclose(losses[0], np.log(21), rtol=0.2)
    assert losses[-1] < losses[0]
    expected = np.asarray(model(batch[0][:1], training=False))
    model.save(tmp_path / "full.keras")  # with the momentum of the optimizer
    del model, sgd
    keras.utils.clear_session(free_memory=True)
    loaded = kseg.models.load(tmp_path / "full.keras")
    np.testing.assert_array_equal(loaded(batch[0][:1], training=False), expected)
    size = (tmp_path / "full.keras").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"file {size / 2**30:.2f} GiB, peak memory {peak:.1f} GiB")


@pytest.mark.slow
def test_published_parameter_count():
    model = models.build("deconvnet_vgg16", 21, weights=None)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 251_805_653
    assert model(np.zeros((1, 224, 224, 3), "uint8")).shape == (1, 224, 224, 21)
