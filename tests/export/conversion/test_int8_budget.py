"""Networks in which int8 hurts at one known place; LiteRT alone runs the files."""

import json
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kseg
from kseg.errors import SettingsError
from kseg.export.conversion.int8_budget import BudgetError, channel_noise

SIZE = (16, 20)


def wide_channel(factor: float) -> keras.Model:
    """One channel of the map between `wide` and `depth` is `factor` times the others, and undone after it."""
    keras.utils.set_random_seed(1)
    image = keras.Input((*SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(image)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="first")(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="wide")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="after")(x)
    x = keras.layers.Conv2D(3, 1, name="score")(x)
    model = keras.Model(image, x, name="wide_channel")
    for name, place, scale in (("wide", (..., 0), factor), ("depth", (..., 0, slice(None)), 1 / factor)):
        kernel, bias = model.get_layer(name).get_weights()
        kernel[place] *= scale
        model.get_layer(name).set_weights([kernel, bias])
    return model


@pytest.fixture
def images():
    return [np.random.default_rng(n).integers(0, 256, (*SIZE, 3), dtype=np.uint8) for n in range(4)]


def labels(path, images):
    """Class ids of a file by a bare interpreter that is given bytes."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert entry["dtype"] is np.uint8
    found = []
    for image in images:
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"])[0].argmax(-1))
    return np.stack(found)


def kinds(path):
    """The type of the map that each convolution makes, in order."""
    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    types = {one["index"]: np.dtype(one["dtype"]).name for one in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()
    return [types[one["outputs"][0]] for one in operations if one["op_name"].endswith("CONV_2D")]


def export(model, path, calibration, **options):
    return kseg.export.tflite(
        model, path, size=SIZE, precision="int8", calibration=calibration, min_agreement=0, **options
    )


@pytest.mark.full
def test_the_layers_about_the_wide_map_stay_in_float(images, tmp_path):
    model = wide_channel(1000.0)
    expected = np.argmax(model(np.stack(images).astype("float32")), -1)
    export(model, tmp_path / "plain.tflite", images)
    assert (labels(tmp_path / "plain.tflite", images) == expected).mean() < 0.9
    found = export(model, tmp_path / "n.tflite", images, int8_budget=0.05).int8
    assert found.float_layers == ("wide", "depth")
    assert found.measure == "pixels"
    assert kinds(tmp_path / "n.tflite") == ["int8", "float32", "float32", "int8", "int8"]
    # What it says it loses is what LiteRT's labels lose.
    agreement = (labels(tmp_path / "n.tflite", images) == expected).mean()
    assert agreement >= 0.95
    assert found.lost == pytest.approx(1 - agreement, abs=1e-6)
    # Two kernels and their 8 biases, in 4 bytes a weight in place of 1, and two operations more.
    weights = 9 * 16 * 8 + 9 * 8
    assert 3 * weights - 500 < found.bytes - found.int8_bytes < 3 * weights + 1500
    with zipfile.ZipFile(tmp_path / "n.tflite") as archive:
        assert json.loads(archive.read("kseg.json"))["int8"]["float_layers"] == ["wide", "depth"]


@pytest.mark.full
def test_a_network_that_int8_does_not_hurt_stays_as_it_is(images, tmp_path):
    model = wide_channel(1.0)
    found = export(model, tmp_path / "n.tflite", images, int8_budget=0.2).int8
    assert found.float_layers == ()
    assert found.bytes == found.int8_bytes
    export(model, tmp_path / "plain.tflite", images)
    np.testing.assert_array_equal(
        labels(tmp_path / "n.tflite", images), labels(tmp_path / "plain.tflite", images)
    )
    assert export(model, tmp_path / "plain.tflite", images).int8 is None


@pytest.mark.full
def test_mean_iou_where_there_are_labels(images, tmp_path):
    model = wide_channel(1000.0)
    masks = np.argmax(model(np.stack(images).astype("float32")), -1).astype(
        np.uint8
    )  # float32 is right everywhere
    found = export(
        model, tmp_path / "n.tflite", images, images=(np.stack(images), masks), int8_budget=0.1
    ).int8
    assert found.measure == "mean IoU"
    given = labels(tmp_path / "n.tflite", images)
    iou = [
        ((given == k) & (masks == k)).sum() / ((given == k) | (masks == k)).sum() for k in np.unique(masks)
    ]
    assert found.lost == pytest.approx(1 - np.mean(iou), abs=1e-6)
    assert found.lost <= 0.1 < found.lost_in_int8


@pytest.mark.full
def test_class_ids(images, tmp_path):
    found = export(wide_channel(1000.0), tmp_path / "n.tflite", images, int8_budget=0.05, class_ids=True)
    assert found.int8.float_layers == ("wide", "depth")
    assert found.agreement >= 0.95


@pytest.mark.full
def test_a_budget_that_no_int8_file_holds(images, tmp_path):
    with pytest.raises(BudgetError, match=r"--precision float16.*--int8-budget"):
        export(wide_channel(1000.0), tmp_path / "n.tflite", images, int8_budget=0)
    assert list(tmp_path.iterdir()) == []


def test_a_budget_is_for_int8(tmp_path):
    for options in ({"precision": "float16", "int8_budget": 0.1}, {"precision": "int8", "int8_budget": 2}):
        with pytest.raises(SettingsError, match="int8_budget"):
            kseg.export.tflite(
                wide_channel(1.0), tmp_path / "n.tflite", calibration=[np.zeros((*SIZE, 3))], **options
            )


def test_noise_of_a_channel_is_measured_by_its_own_size():
    expected = np.random.default_rng(0).normal(size=(1, 50, 50, 2)) * [1000.0, 1.0]
    scale = 40.0
    found = np.round(expected / scale).astype(np.int8)
    error = (found * scale - expected).reshape(-1, 2)
    shares = np.minimum(1, (error**2).mean(0) / expected.reshape(-1, 2).var(0))
    assert channel_noise(expected.astype("float32"), found, scale, 0) == pytest.approx(
        shares.mean(), rel=1e-4
    )
    assert shares[0] < 0.001
    assert shares[1] > 0.99
    assert channel_noise(np.ones((1, 4, 4, 2), "float32"), np.ones((1, 4, 4, 2), np.int8), 1.0, 0) == 0
