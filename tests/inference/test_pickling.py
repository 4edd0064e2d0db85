"""Predictors, data sets and results in other processes: pickle, multiprocessing, joblib, PyTorch's workers."""

import multiprocessing
import pickle

import keras
import numpy as np
import pytest

import kseg
from kseg.inference import DenseCRF, Ensemble, Predictor

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 26, 3), dtype=np.uint8)


def network():
    image = keras.Input((None, None, 3))
    scores = keras.layers.Conv2D(3, 5, padding="same", kernel_initializer="orthogonal")(image / 90)
    return keras.Model(image, scores)


class Predicted:
    """A data set of PyTorch whose samples are predictions."""

    def __init__(self, predictor):
        self.predictor = predictor

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.predictor(IMAGE)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_predictors_pickle_before_and_after_their_first_image(used, several):
    predictor = Predictor(network(), (0.5, 1.0), flip=True)
    predictor = Ensemble([predictor, Predictor(network())]) if several else predictor
    if used:
        predictor(IMAGE)
    found = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_allclose(found.probabilities(IMAGE), predictor.probabilities(IMAGE), atol=1e-6)
    np.testing.assert_array_equal(found(IMAGE), predictor(IMAGE))


def test_a_model_keeps_its_classes():
    backbone = kseg.backbones.VGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16")
    model = kseg.models.FCN(backbone, 2, stride=32)
    model.classes = ("ground", "thing")
    found = pickle.loads(pickle.dumps(Predictor(model, crf=DenseCRF(iterations=1))))
    assert found.model.classes == ("ground", "thing")
    assert found.crf.iterations == 1


def test_results_data_sets_and_loaders_pickle():
    result = kseg.predict(network(), IMAGE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(result)).labels, result.labels)
    x, y = np.stack([IMAGE] * 3), np.zeros((3, 20, 26), np.uint8)
    dataset = pickle.loads(pickle.dumps(kseg.data.from_arrays(x, y)))
    np.testing.assert_array_equal(dataset[1][0], IMAGE)
    loader = kseg.data.Loader(
        (x, y), batch_size=2, size=(8, 8), augment=kseg.data.Augment(mirror=True), first_epoch=3
    )
    found = pickle.loads(pickle.dumps(loader))
    assert found.epoch == 3
    for one, two in zip(found, loader, strict=True):
        np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.slow
def test_workers_of_multiprocessing_joblib_and_pytorch():
    predictor = Predictor(network())
    expected = predictor(IMAGE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.map(predictor, [IMAGE])[0], expected)
    joblib = pytest.importorskip("joblib")
    for found in joblib.Parallel(2)(joblib.delayed(predictor)(IMAGE) for _ in range(3)):
        np.testing.assert_array_equal(found, expected)
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        Predicted(predictor), num_workers=1, multiprocessing_context="spawn", batch_size=None
    )
    for found in loader:
        np.testing.assert_array_equal(np.asarray(found), expected)
