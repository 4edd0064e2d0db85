import numpy as np
import pytest

import kseg
from kseg.errors import ModelError
from kseg.export.accuracy import Lost, Scores
from kseg.export.graph import inspected


def test_scores_of_both_answers_at_the_labels_size(dataset):
    truth = np.array([[0, 1, 2, 255], [0, 1, 2, 255]], np.uint8)
    scores = Scores(dataset)
    right, wrong = np.eye(3)[[[0, 1, 2, 0]]][None], np.eye(3)[[[0, 1, 1, 0]]][None]
    scores.add((right, wrong), truth)
    # By hand: class 0 whole, class 1 two of four, class 2 none.
    assert scores.mean_iou() == pytest.approx((1.0, (1 + 0.5 + 0) / 3))
    assert Scores(None).mean_iou() == (None, None)


@pytest.mark.full
def test_what_a_file_loses(net, dataset, tmp_path):
    size, info = (24, 36), inspected(net)
    other = type(net).from_config(net.get_config())
    other.set_weights(net.get_weights())
    kernel, bias = net.get_layer("score").get_weights()
    other.get_layer("score").set_weights([-kernel, bias])
    kseg.export.tflite(net, tmp_path / "same.tflite", size=size)
    kseg.export.tflite(other, tmp_path / "other.tflite", size=size)
    lost = Lost(net, info, dataset, size, tmp_path / "scratch.tflite")
    assert lost.measure == "mean IoU"
    assert lost((tmp_path / "same.tflite").read_bytes()) == pytest.approx(0, abs=1e-6)
    assert lost((tmp_path / "other.tflite").read_bytes()) > 0.3
    images = [dataset.load(number)[0] for number in range(2)]
    pixels = Lost(net, info, images, size, tmp_path / "scratch.tflite")
    assert pixels.measure == "pixels"
    assert pixels((tmp_path / "same.tflite").read_bytes()) == pytest.approx(0, abs=1e-6)


def test_labels_of_other_classes(net, dataset, tmp_path):
    two = kseg.data.from_arrays([np.zeros((8, 8, 3), "uint8")], [np.zeros((8, 8), "uint8")], classes=2)
    with pytest.raises(ModelError, match="3 classes"):
        Lost(net, inspected(net), two, (24, 36), tmp_path / "x.tflite")
