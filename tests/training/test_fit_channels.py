"""Images of six channels, and classes that overlap, in `fit` and all that follows it."""

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import DataError, SettingsError
from kseg.losses import BoundaryCrossEntropy, CrossEntropy, Dice, Focal, Lovasz, WeightedSum
from kseg.training import Recipe, fit
from kseg.training.compilation import overlapping

SIX = {"channels": 6, "value_range": (0, 65535)}
RECIPE = Recipe(epochs=1, batch_size=2, size=(32, 32))
QUIET = {"verbose": False, "tensorboard": False}


@pytest.fixture(scope="module")
def masks():
    masks = np.zeros((4, 32, 32, 2), np.uint8)
    masks[:, 8:24, 10:30, 0] = masks[:, 12:, 12:16, 1] = 1
    return masks


@pytest.fixture(scope="module")
def six():
    return np.random.default_rng(0).integers(0, 65536, (4, 32, 32, 6)).astype(np.uint16)


def network(num_classes=2):
    keras.utils.set_random_seed(0)
    return kseg.models.LiteFPN(kseg.backbones.DeepLabMobileNetV2(0.25), num_classes=num_classes, context=8)


@pytest.mark.tensorflow
@pytest.mark.full
def test_six_channels(six, masks, tmp_path):
    model = kseg.models.with_channels(network(), **SIX)
    data = kseg.data.from_arrays(six, masks[..., 0], classes=["a", "b"], **SIX)
    rows = fit(model, RECIPE, data, (six, masks[..., 0]), tmp_path / "run", **QUIET)
    again = kseg.models.load(tmp_path / "run" / "last.keras")
    report = kseg.evaluation.evaluate(again, (six, masks[..., 0]))
    np.testing.assert_allclose(report.mean_iou, rows[-1]["val_mean_iou"], atol=1e-6)
    np.save(tmp_path / "a.npy", six[0])
    result = kseg.predict(again, tmp_path / "a.npy")
    np.testing.assert_array_equal(result.labels, kseg.inference.Predictor(again)(six[0]))
    assert result.overlay(legend=False).shape == (32, 32, 3)
    several = kseg.inference.Predictor(again, scales=(0.5, 1.0), flip=True, window=32, size=40)
    assert several(six[0]).shape == (32, 32)


@pytest.mark.tensorflow
@pytest.mark.full
def test_classes_that_overlap(six, masks, tmp_path):
    images = (six[..., :3] >> 8).astype(np.uint8)
    masks = masks.copy()
    masks[0, :4, :, 1] = 255
    data = kseg.data.from_arrays(images, masks, classes=["disk", "band"], multilabel=True)
    model = network()
    model.multilabel = True
    rows = fit(model, RECIPE, data, data, tmp_path / "run", **QUIET)
    again = kseg.models.load(tmp_path / "run" / "last.keras")
    assert again.multilabel
    report = kseg.evaluation.evaluate(again, data)
    np.testing.assert_allclose(report.mean_iou, rows[-1]["val_mean_iou"], atol=1e-6)
    found = np.stack([kseg.predict(again, image).masks for image in images])
    known = masks[..., 1] != 255
    truth, second = masks[..., 1][known] == 1, found[..., 1][known]
    np.testing.assert_allclose(report.class_iou[1], (truth & second).sum() / (truth | second).sum())
    probabilities = 1 / (1 + np.exp(-np.asarray(again(images[:1].astype("float32")))[0]))
    result = kseg.predict(again, images[0], threshold=0.6)
    np.testing.assert_array_equal(result.masks, probabilities > 0.6)
    expected = dict(zip(("disk", "band"), (probabilities > 0.6).sum((0, 1)).tolist(), strict=True))
    assert result.areas() == {name: area for name, area in expected.items() if area}
    none = ~result.masks.any(-1)
    assert (result.labels[none] == 255).all()
    assert (result.labels[~none] < 2).all()


@pytest.mark.full
def test_a_model_of_other_images_or_masks(six, masks, tmp_path):
    rgb = kseg.data.from_arrays((six[..., :3] >> 8).astype(np.uint8), masks[..., 0], classes=["a", "b"])
    model = kseg.models.with_channels(network(), **SIX)
    message = "channels=6, and the data set arrays channels=3"
    with pytest.raises(SettingsError, match=message):
        fit(model, RECIPE, rgb, None, tmp_path, **QUIET)
    with pytest.raises(SettingsError, match=message):
        kseg.evaluation.evaluate(model, rgb)
    model.compile()
    with pytest.raises(SettingsError, match=message):
        model.fit(kseg.data.Loader(rgb, batch_size=2))
    with pytest.raises(DataError, match=r"expected \(height, width, 6\)"):
        kseg.predict(model, rgb[0][0])
    overlap = network()
    overlap.multilabel = True
    with pytest.raises(SettingsError, match="multilabel=True, and the data set arrays multilabel=False"):
        fit(overlap, RECIPE, rgb, None, tmp_path, **QUIET)


@pytest.mark.full
def test_arrays_that_model_fit_refuses(six, masks):
    model, ids = kseg.models.with_channels(network(), **SIX), masks[..., 0]
    model.compile()
    x = six.astype("float32")
    for wrong, y, message in (
        (x / 65535, ids, "values from 0 to 1; expected 0 to 65535"),
        (x * 2, ids, "expected 0 to 65535"),
        (np.where(x > 9, np.nan, x), ids, "sample 0: the image has NaN"),
        (np.moveaxis(x, -1, 1), ids, "channels come last"),
        (x[..., :3], ids, r"expected \(batch, height, width, 6\)"),
        (x, ids[:, 1:], "same size"),
        (x, masks, "np.argmax"),
        (x, ids + 2 * (np.arange(4) == 2)[:, None, None], "sample 2: class id 2"),
    ):
        with pytest.raises(DataError, match=message):
            model.fit(wrong, y, verbose=0)
    overlap = network()
    overlap.multilabel = True
    overlap.compile()
    with pytest.raises(DataError, match="as classes overlap"):
        overlap.fit(x[..., :3] / 257, ids, verbose=0)


def test_losses_of_classes_that_overlap():
    loss = overlapping(CrossEntropy(class_weights=(1.0, 2.0)))
    assert (type(loss), loss.mode, loss.gamma, loss.class_weights) == (Focal, "multilabel", 0, (1.0, 2.0))
    both = overlapping(WeightedSum([Dice(), Focal()], [1.0, 0.5]))
    assert [one.mode for one in both.losses] == ["multilabel"] * 2
    assert overlapping(Lovasz()).mode == "multilabel"
    for wrong in (BoundaryCrossEntropy(), CrossEntropy(ohem_fraction=0.5)):
        with pytest.raises(SettingsError, match="one class a pixel"):
            overlapping(wrong)
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 2, (1, 3, 4, 2)), rng.normal(size=(1, 3, 4, 2)).astype("float32")
    expected = (np.log1p(np.exp(-z)) * y + np.log1p(np.exp(z)) * (1 - y)).mean()
    np.testing.assert_allclose(float(overlapping(CrossEntropy())(y, z)), expected, rtol=1e-5)
