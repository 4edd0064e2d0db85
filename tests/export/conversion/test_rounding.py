"""Weights on int8's levels: outputs by LiteRT in float32, sums by plain loops, levels as the file has them."""

import itertools

import cv2
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import kseg
from kseg.export.conversion import rounding
from kseg.export.conversion.flatbuffer import Flatbuffer
from kseg.export.conversion.int8_graph import cheaper, quantized
from kseg.export.conversion.rounding import descended, rounded, with_rounded
from kseg.export.conversion.tflite import _Asked, _converted
from kseg.export.graph import inspected

SIZE = (16, 24)
layers = keras.layers


def samples(count=3, size=SIZE):
    """Smooth images, as real ones are, whose mean is far from 0 beside what varies in them."""
    rng = np.random.default_rng(0)
    rough = [rng.uniform(150, 170, 3) + rng.normal(0, 60, (*size, 3)) for _ in range(count)]
    return [cv2.GaussianBlur(one.astype("float32"), (0, 0), 1.5)[None] for one in rough]


def calibrated(*steps):
    keras.utils.set_random_seed(3)
    image = keras.Input((*SIZE, 3), name="image")
    x = image
    for step in steps:
        x = step(x)
    model = keras.Model(image, x)
    info = inspected(model, "logits")
    return cheaper(_converted(model, info, _Asked(SIZE, "int8", "logits"), samples()))


def convolutions(graph):
    return [step for step in graph.operators if graph.kind(step) in ("CONV_2D", "DEPTHWISE_CONV_2D")]


def maps(content, images):
    """The first convolution's map (channels, pixels of all images), by LiteRT."""
    graph = Flatbuffer(content)
    (first, *_), found = convolutions(graph), []
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        made = interpreter.get_tensor(first.outputs[0])[0]
        found.append(made.reshape(-1, made.shape[-1]))
    return np.concatenate(found).T.astype("float64")


def changed(content, found):
    graph = Flatbuffer(content)
    with_rounded(graph, found, frozenset())
    return graph.packed()


def nearest(content):
    """What `rounded` is compared with: every weight at the nearest level, the bias as it was."""
    graph, found = Flatbuffer(content), {}
    for step in convolutions(graph):
        weights, bias = (graph.constant(index) for index in step.inputs[1:])
        axes = (0, 1, 2) if graph.kind(step) == "DEPTHWISE_CONV_2D" else (1, 2, 3)
        step_size = np.abs(weights).max(axes, keepdims=True) / 127
        weights = (np.round(weights / step_size) * step_size).astype("float32")
        found[graph.name(step.outputs[0])] = rounding.Rounded(weights, bias)
    return found


CONVOLUTIONS = {
    "plain": layers.Conv2D(5, 3, padding="valid"),
    "strided": layers.Conv2D(5, (3, 2), strides=2, padding="same"),
    "dilated": layers.Conv2D(5, 3, dilation_rate=2, padding="valid"),
    "groups": layers.Conv2D(6, 3, groups=3, padding="same"),
    "depthwise": layers.DepthwiseConv2D(3, padding="same"),
    "depthwise, two filters each": layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
}


@pytest.mark.parametrize(
    "kind",
    [
        "strided",
        "depthwise",
        *(
            pytest.param(kind, marks=pytest.mark.full)
            for kind in CONVOLUTIONS
            if kind not in ("strided", "depthwise")
        ),
    ],
)
def test_the_mean_is_kept_and_the_rest_varies_less(kind):
    """On maps of fewer pixels than are looked at, so that both hold for the very images."""
    layer = type(CONVOLUTIONS[kind]).from_config(CONVOLUTIONS[kind].get_config())
    content = calibrated(layer, layers.Conv2D(2, 1))
    exact = maps(content, samples())
    found = maps(changed(content, rounded(content, samples())), samples()) - exact
    plain = maps(changed(content, nearest(content)), samples()) - exact
    scale = exact.std(1)
    np.testing.assert_allclose(found.mean(1) / scale, 0, atol=2e-4)
    assert np.abs(plain.mean(1) / scale).max() > 2e-3
    assert (found.var(1) <= plain.var(1) * 1.001).all()
    assert found.var(1).sum() < 0.9 * plain.var(1).sum()


def test_no_single_weight_could_be_moved_for_the_better():
    """Each move of each weight tried, and for small filters all that lie within one level of it."""
    rng = np.random.default_rng(5)
    mixing = rng.normal(0, 1, (2, 4, 4))
    covariance = mixing @ mixing.transpose(0, 2, 1)
    exact = rng.uniform(-100, 100, (2, 3, 4))
    exact[..., 0], exact[0, 0, 1] = 127, 0.0  # the largest, and one that is not there
    found = descended(exact, np.round(exact), covariance)
    best = lost = 0.0
    for group, number in itertools.product(range(2), range(3)):

        def varies(levels, group=group, number=number):
            error = levels - exact[group, number]
            return sum(
                error[i] * covariance[group, i, j] * error[j] for i, j in itertools.product(range(4), repeat=2)
            )

        here = found[group, number]
        assert here[0] == 127
        assert (here == np.round(here)).all()
        free = [i for i in range(1, 4) if exact[group, number, i] != 0]
        for i, move in itertools.product(free, (-1, 1)):
            assert varies(here + move * np.eye(4)[i]) >= varies(here) - 1e-9
        all_near = itertools.product(*(range(-1, 2) if i in free else (0,) for i in range(4)))
        near = np.round(exact[group, number])
        best += min(varies(near + np.array(one)) for one in all_near)
        lost += varies(here)
    assert found[0, 0, 1] == 0
    assert best <= lost <= 2 * best


def test_a_weight_goes_up_or_down_and_no_further():
    """What they are multiplied with varies in one way only, as with few images; so others could pay for one."""
    rng = np.random.default_rng(6)
    way = rng.normal(0, 1, 12)
    exact = rng.uniform(-126.9, 126.9, (1, 5, 12))
    exact[..., 0] = -127
    covariance = np.outer(way, way)[None]
    found = descended(exact, np.round(exact), covariance)
    assert np.abs(found - exact).max() < 1
    before, after = (((levels - exact) @ way) ** 2 for levels in (np.round(exact), found))
    assert after.sum() < 0.1 * before.sum()


def weights_of(content):
    """A file's int8 weights as numbers, by the shape of a convolution's filters."""
    graph, found = Flatbuffer(content), {}
    for step in convolutions(graph):
        tensor = graph.graph.tensors[step.inputs[1]]
        levels = np.asarray(graph.model.buffers[tensor.buffer].data).view(np.int8).reshape(tensor.shape)
        axis = tensor.quantization.quantizedDimension
        scales = np.asarray(tensor.quantization.scale).reshape([-1 if i == axis else 1 for i in range(4)])
        found[tuple(tensor.shape)] = levels * scales
    return found


def test_the_file_has_these_very_levels():
    content = calibrated(layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(7, 3, activation="relu"))
    found = rounded(content, samples())
    read = weights_of(quantized(content, weights=found))
    assert len(read) == len(found) == 2
    for one in found.values():
        np.testing.assert_allclose(read[one.weights.shape], one.weights, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("budget", [None, 1.0])
def test_exports_have_them(budget, tmp_path):
    """With a budget and without; no file's weights all lie at the nearest level."""
    keras.utils.set_random_seed(3)
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.DepthwiseConv2D(3, padding="same")(image)
    model = keras.Model(image, layers.Conv2D(2, 3, padding="same")(x))
    path = tmp_path / "n.tflite"
    images = [one[0].clip(0, 255) for one in samples()]
    kseg.export.tflite(
        model, path, size=SIZE, precision="int8", calibration=images, int8_budget=budget, min_agreement=0
    )
    info = inspected(model, "logits")
    content = cheaper(_converted(model, info, _Asked(SIZE, "int8", "logits"), [one[None] for one in images]))
    read, plain = (weights_of(one) for one in (path.read_bytes(), quantized(content)))
    assert read.keys() == plain.keys()
    for shape, weights in read.items():
        moved = np.abs(weights - plain[shape])
        assert 0 < (moved > 1e-6).mean() < 1, shape


def test_what_stays_in_float_keeps_its_weights():
    content = calibrated(layers.Conv2D(4, 3, padding="same"), layers.Conv2D(2, 1))
    graph, found = Flatbuffer(content), rounded(content, samples())
    kept, changed_one = [graph.name(step.outputs[0]) for step in convolutions(graph)]
    with_rounded(graph, found, frozenset({kept}))
    before, after = (
        {other.name(step.outputs[0]): other.constant(step.inputs[1]) for step in convolutions(other)}
        for other in (Flatbuffer(content), Flatbuffer(graph.packed()))
    )
    np.testing.assert_array_equal(after[kept], before[kept])
    assert np.any(after[changed_one] != before[changed_one])


@pytest.mark.full
def test_convolutions_without_bias_count():
    """The converter gives all of them one bias of zeros."""
    steps = [layers.Conv2D(4, 3, padding="same", use_bias=False) for _ in range(3)]
    assert len(rounded(calibrated(*steps), samples())) == 3


@pytest.mark.full
def test_weights_that_are_no_numbers_are_left_alone():
    broken = layers.Conv2D(4, 3, padding="same", bias_initializer="ones")
    broken.build((None, *SIZE, 3))
    kernel, bias = broken.get_weights()
    kernel[0, 0, 0, 0] = np.nan
    broken.set_weights([kernel, bias])
    content = calibrated(layers.Conv2D(3, 3, padding="same"), broken, layers.Conv2D(2, 1))
    (name,) = rounded(content, samples())
    assert name == Flatbuffer(content).name(convolutions(Flatbuffer(content))[0].outputs[0])


@pytest.mark.full
def test_weights_of_two_convolutions_stay_shared():
    shared = layers.Conv2D(3, 3, padding="same")
    content = calibrated(shared, shared, layers.Conv2D(2, 1))
    graph = Flatbuffer(content)
    assert len({int(step.inputs[1]) for step in convolutions(graph)}) == 2
    assert len(rounded(content, samples())) == 1


def test_of_large_filters_the_bias_alone_is_corrected(monkeypatch):
    monkeypatch.setattr(rounding, "PRODUCTS", 27**2 - 1)
    content = calibrated(layers.Conv2D(4, 3, padding="same"), layers.Conv2D(2, 1))
    exact = maps(content, samples())
    found = rounded(content, samples())
    plain = nearest(content)
    name = Flatbuffer(content).name(convolutions(Flatbuffer(content))[0].outputs[0])
    np.testing.assert_allclose(found[name].weights, plain[name].weights, rtol=1e-5, atol=1e-8)
    error = maps(changed(content, found), samples()) - exact
    np.testing.assert_allclose(error.mean(1) / exact.std(1), 0, atol=2e-4)
