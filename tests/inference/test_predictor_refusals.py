"""What the predictor refuses, and why."""

import numpy as np
import pytest

from kseg.errors import DataError, KsegError, SettingsError
from kseg.inference import Predictor, predictor


def test_crf_of_a_huge_picture_is_refused(monkeypatch, picture, net):
    monkeypatch.setattr(predictor, "CRF_BYTES", 1000)
    with pytest.raises(DataError, match="GiB for 37x53"):
        Predictor(net(), crf=lambda image, probabilities: probabilities)(picture())


def test_crf_of_the_wrong_shape_is_refused(picture, net):
    with pytest.raises(SettingsError, match="CRF"):
        Predictor(net(), crf=lambda image, probabilities: probabilities[:-1])(picture())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((5, 5), np.uint8), "grey"),
        (np.zeros((5, 5, 4), np.uint8), "alpha"),
        (np.zeros((1, 5, 5, 3), np.uint8), "shape"),
        (np.zeros((0, 5, 3), np.uint8), "shape"),
        (np.zeros((5, 5, 3), np.int64), "int64"),
        (np.zeros((5, 5, 3), bool), "bool"),
        (np.full((5, 5, 3), np.nan, np.float32), "nan"),
        (np.full((5, 5, 3), np.inf, np.float32), "inf"),
        (np.full((5, 5, 3), -1.5, np.float32), "0-255"),
        (None, "shape"),
    ],
)
def test_refused_images(image, words, net):
    for call in (Predictor(net()), Predictor(net(), window=4).probabilities):
        with pytest.raises(DataError, match=words):
            call(image)


@pytest.mark.parametrize(
    "settings",
    [
        {"scales": ()},
        {"scales": (1, 0)},
        {"scales": (-1.0,)},
        {"scales": float("nan")},
        {"scales": float("inf")},
        {"scales": (1, 1e308)},
        {"scales": None},
        {"scales": "0.5"},
        {"scales": (1, None)},
        {"scales": (True,)},
        {"window": 0},
        {"window": (8, 0)},
        {"window": (8, 8, 8)},
        {"window": 8.5},
        {"size": 0},
        {"size": (8, 8, 8)},
        {"size": 8.5},
        {"long_side": 0},
        {"long_side": (8, 8)},
        {"long_side": 8, "size": 8},
        {"stride": 0},
        {"stride": 1.5},
        {"stride": "2/3"},
        {"stride": None},
        {"window": True},
        {"batch_size": 0},
    ],
)
def test_refused_settings(settings, net):
    with pytest.raises(SettingsError):
        Predictor(net(), **settings)


def test_window_below_the_output_stride_is_refused(net):
    model = net()
    model.backbone = net()
    model.backbone.output_stride = 32
    with pytest.raises(SettingsError, match=r"16x40 pixels is too small.*32x32"):
        Predictor(model, window=(16, 40))


def test_window_other_than_the_fixed_input_is_refused(net):
    with pytest.raises(KsegError, match="only 16x20"):
        Predictor(net(size=(16, 20)), window=16)
