import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.errors import DataError, ModelError, SettingsError


def test_a_good_file_passes(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36))
    done = []
    found = kseg.export.check(
        net, path, dataset, max_drop=0.001, repeats=1, progress=lambda *now: done.append(now)
    )
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert found.passed
    assert abs(found.drop) < 1e-3
    assert found.parity.images == 3
    assert found.bytes == path.stat().st_size
    assert found.outside == {}
    assert found.milliseconds > 0
    truth, predicted = [], []
    for index in range(3):
        image, labels = dataset.load(index)
        ids = np.asarray(net(image[None].astype("float32")))[0].argmax(-1)
        truth.append(labels[labels != 255])
        predicted.append(ids[labels != 255])
    truth, predicted = np.concatenate(truth), np.concatenate(predicted)
    ious = [
        ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(3)
    ]
    np.testing.assert_allclose(found.before, np.mean(ious), atol=1e-3)
    assert json.loads(json.dumps(found.to_json()))["passed"] is True
    assert "passed" in found.table()


def test_a_file_of_worse_weights_fails(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    kernel, bias = net.get_layer("score").get_weights()
    net.get_layer("score").set_weights([kernel, bias + np.array([5, 0, 0])])
    kseg.export.tflite(net, path, size=(24, 36), class_ids=True)
    net.get_layer("score").set_weights([kernel, bias])
    found = kseg.export.check(net, path, dataset, max_drop=0.02, repeats=1)
    assert found.drop > 0.02
    assert not found.passed
    assert "FAILED" in found.table()
    assert kseg.export.check(net, path, dataset, repeats=1, limit=1).parity.images == 1


def test_pictures_without_labels(net, pictures, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36))
    for data, count in ((pictures, 3), (None, 1)):
        found = kseg.export.check(net, path, data, repeats=1)
        assert (found.parity.images, found.before, found.drop) == (count, None, None)
        assert found.passed
    with pytest.raises(SettingsError, match="labelled"):
        kseg.export.check(net, path, pictures, max_drop=0.02)


def test_another_number_of_classes(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36))
    with pytest.raises(ModelError, match="3 classes"):
        kseg.export.check(net, path, replace(dataset, classes=("a",), palette=((0, 0, 0),)))
    shutil.rmtree(tmp_path)
    with pytest.raises(ModelError, match="no such"):
        kseg.export.check(net, path)


def test_predictions_are_brought_to_the_labels_size(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(8, 12))  # a third of the labels' size
    found = kseg.export.check(net, path, dataset, repeats=1)
    matrix = np.zeros((3, 3))
    for index in range(3):
        image, labels = dataset.load(index)
        small = np.round(image.reshape(8, 3, 12, 3, 3).mean((1, 3)))
        ids = np.asarray(net(small[None].astype("float32")))[0].argmax(-1)
        ids = np.kron(ids, np.ones((3, 3), int))
        np.add.at(matrix, (labels[labels != 255], ids[labels != 255]), 1)
    ious = np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))
    np.testing.assert_allclose([found.before, found.after], ious.mean(), atol=1e-6)


def close_logits(net):
    """The tiny net with its three classes all but equal beside a large value that they share."""
    kernel, bias = net.get_layer("score").get_weights()
    net.get_layer("score").set_weights([kernel * 1e-3, bias * 1e-3 + 50])
    return net


@pytest.mark.full
@pytest.mark.parametrize("class_ids", [False, True])
def test_int8_that_cannot_tell_the_classes_apart_fails(net, dataset, tmp_path, class_ids):
    """The report's case: a few percent of the pixels agreed, and the verdict was passed."""
    path, net = tmp_path / "n.tflite", close_logits(net)
    settings = {"size": (24, 36), "precision": "int8", "calibration": dataset, "class_ids": class_ids}
    with pytest.raises(ModelError, match=r"agreement.*--min-agreement"):
        kseg.export.tflite(net, path, **settings)
    assert not path.exists()
    told = kseg.export.tflite(net, path, min_agreement=0, **settings)
    found = kseg.export.check(net, path, dataset, repeats=1)
    for parity in (told, found.parity):
        assert parity.agreement < 0.9
    assert not found.passed
    assert "90.0%" in found.reasons[0]
    assert "FAILED: only" in found.table()
    assert kseg.export.check(net, path, dataset, repeats=1, min_agreement=0).passed


@pytest.mark.full
@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int8"])
def test_every_precision_is_judged(net, dataset, tmp_path, precision):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36), precision=precision, calibration=dataset)
    kernel, bias = net.get_layer("score").get_weights()
    net.get_layer("score").set_weights([kernel[..., ::-1], bias[::-1]])  # another network by now
    found = kseg.export.check(net, path, dataset, repeats=1)
    assert not found.passed
    assert 0 < found.min_agreement < 1


@pytest.mark.full
@pytest.mark.parametrize("end", ["softmax", "sigmoid", "argmax"])
def test_what_the_file_gives_is_in_its_metadata(net, dataset, tmp_path, end):
    argmax = keras.layers.Lambda(lambda x: tf.argmax(x, -1))  # Keras's own is not in TFLite's builtins
    ended = (argmax if end == "argmax" else keras.layers.Activation(end))(net.output)
    model, path = keras.Model(net.input, ended), tmp_path / "n.tflite"
    kseg.export.tflite(model, path, size=(24, 36))
    expected = "class_ids" if end == "argmax" else "probabilities"
    assert kseg.export.read_metadata(path)["output"] == expected
    found = kseg.export.check(model, path, dataset, repeats=1)
    assert found.passed
    assert found.before == kseg.export.check(net, path, dataset, repeats=1, min_agreement=0).before


def test_one_channel_is_background_and_object(net, tmp_path):
    image = keras.layers.Conv2D(1, 1, activation="sigmoid")(net.output)
    model, path = keras.Model(net.input, image), tmp_path / "n.tflite"
    assert kseg.export.tflite(model, path, size=(24, 36), class_ids=True).agreement > 0.999
    assert kseg.export.read_metadata(path)["classes"] == ["background", "object"]
    x = np.random.default_rng(0).uniform(0, 255, (1, 24, 36, 3)).astype("float32")
    np.testing.assert_array_equal(kseg.export.load(path)(x), np.asarray(model(x))[..., 0] > 0.5)


def test_images_of_0_to_1_are_refused(net, pictures, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36))
    small = [image / 255 for image in pictures]
    with pytest.raises(DataError, match="multiply"):
        kseg.export.check(net, path, small)
    with pytest.raises(DataError, match="multiply"):
        kseg.export.tflite(net, path, size=(24, 36), precision="int8", calibration=small)
