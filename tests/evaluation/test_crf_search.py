import keras
import numpy as np
import pytest

import kseg
from kseg.errors import DataError, ModelError, SettingsError
from kseg.evaluation import tune_crf
from kseg.inference import DenseCRF, Predictor, search_crf

RNG = np.random.default_rng(0)
Y = np.zeros((4, 16, 20), np.uint8)
Y[:, :, 10:] = 1
X = (Y[..., None] * 90 + RNG.integers(0, 120, (4, 16, 20, 3))).astype(np.uint8)
GRID = {
    "weights": (1, 4),
    "xy_stds": (6,),
    "rgb_stds": (20,),
    "refinements": 0,
    "crf": DenseCRF(iterations=2),
}


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    mean = keras.ops.mean(image, -1, keepdims=True) / 20
    return keras.Model(image, keras.ops.concatenate([6 - mean, mean - 6], -1))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]


@pytest.mark.full
def test_it_is_the_search_on_the_models_probabilities(model):
    predictor, told = Predictor(model), []
    samples = [(X[index], predictor.probabilities(X[index]), Y[index]) for index in (0, 2)]
    expected = search_crf(samples, **GRID)
    for data in ((X, Y), Batches(), kseg.data.from_arrays(X, Y)):
        found = tune_crf(model, data, limit=2, predicting=lambda *done: told.append(done), **GRID)
        assert found.trials == expected.trials
        assert found.mean_iou == expected.mean_iou
    assert told[:2] == [(1, 2), (2, 2)]


def test_mistakes(model):
    with pytest.raises(DataError, match="data_00002: class id 5"):
        tune_crf(model, (X, np.where(np.arange(4)[:, None, None] == 2, 5, Y)), limit=4, **GRID)
    with pytest.raises(ModelError, match=r"2 classes.* 3"):
        tune_crf(model, kseg.data.from_arrays(X, Y, classes=3))
    with pytest.raises(SettingsError, match="limit"):
        tune_crf(model, (X, Y), limit=0)
    with pytest.raises(TypeError, match="weight"):
        tune_crf(model, (X, Y), limit=1, weight=3)
