import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError, SettingsError
from kseg.export.check import _confusion
from kseg.metrics import mean_iou


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


def test_predictions_are_brought_to_the_labels_size():
    truth = np.array([[0, 0, 1, 1], [0, 0, 255, 1]], np.uint8)
    matrix = _confusion(np.array([[[0, 2]]], np.uint8), truth, 3, 255)
    np.testing.assert_array_equal(matrix, [[4, 0, 0], [0, 0, 3], [0, 0, 0]])
    np.testing.assert_allclose(mean_iou(matrix), 1 / 3)
