"""A network of one channel in `fit`: background and object, as everywhere else."""

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import SettingsError
from kseg.training import Recipe, fit


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 32, 32), np.uint8)
    masks[:, 8:24, 10:30] = 1
    images = rng.integers(0, 60, (4, 32, 32, 3)) + masks[..., None] * 120
    return kseg.data.from_arrays(images.astype(np.uint8), masks, classes=["ground", "disk"])


def network(num_classes=1):
    keras.utils.set_random_seed(0)
    backbone = kseg.backbones.DeepLabMobileNetV2(0.25)
    return kseg.models.LiteFPN(backbone, num_classes=num_classes, context=8)


@pytest.mark.tensorflow
@pytest.mark.full
@pytest.mark.parametrize("loss", ["cross_entropy", "focal + 0.5 * dice"])
def test_a_network_of_one_channel_is_trained_saved_and_scored(data, tmp_path, loss):
    model = network()
    recipe = Recipe(epochs=2, batch_size=2, size=(32, 32), loss=loss, class_weights=(1.0, 2.0))
    recipe = recipe if loss == "cross_entropy" else recipe.replace(class_weights=None)
    rows = fit(model, recipe, data, data, tmp_path / "run", verbose=False, tensorboard=False)
    assert model.classes == ("ground", "disk")
    assert np.isfinite(rows[-1]["loss"])
    again = kseg.models.load(tmp_path / "run" / "last.keras")
    report = kseg.evaluation.evaluate(again, data)
    np.testing.assert_allclose(report.mean_iou, rows[-1]["val_mean_iou"], atol=1e-6)
    predicted = np.stack([kseg.predict(again, image).labels for image, _ in data])
    truth = np.stack([mask for _, mask in data])
    expected = (predicted & truth).sum() / (predicted | truth).sum()
    np.testing.assert_allclose(report.class_iou[1], expected)


def test_the_data_need_the_background_too(data, tmp_path):
    three = kseg.data.from_arrays(*(np.stack(part) for part in zip(*data, strict=True)), classes=3)
    with pytest.raises(SettingsError, match="2 classes and arrays has 3"):
        fit(network(), Recipe(), three, None, tmp_path, verbose=False)
