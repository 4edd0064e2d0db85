import csv
import json

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.errors import SettingsError
from kseg.inference import Predictor, predict_files
from kseg.inference.files.saved import FORMS, SavedResults, class_folders

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    scores = keras.layers.Conv2D(3, 5, padding="same", kernel_initializer="orthogonal")(image / 90)
    return keras.Model(image, scores)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), RNG.integers(0, 256, (20, 26, 3), dtype=np.uint8))
    return folder


def test_every_form_holds_what_kseg_predict_gives(model, images, tmp_path):
    out = tmp_path / "out"
    predict_files(Predictor(model), images, out, overlay=False, save=FORMS)
    forms = {f"{name}{end}" for name in "ab" for end in (".geojson", "_polygons.json")}
    forms |= {f"{name}{end}" for name in "ab" for end in ("_probabilities.npz", "_confidence.png", ".png")}
    assert {path.name for path in out.iterdir()} == {*forms, "areas.csv", "coco.json", "masks"}
    results = list(kseg.predict(model, images))
    coco = json.loads((out / "coco.json").read_text())
    rows = list(csv.DictReader((out / "areas.csv").open()))
    for number, (name, result) in enumerate(zip("ab", results, strict=True), 1):
        np.testing.assert_array_equal(kseg.data.read_mask(out / f"{name}.png"), result.labels)
        stored = np.load(out / f"{name}_probabilities.npz")
        np.testing.assert_allclose(stored["probabilities"], result.probabilities, atol=1e-5)
        shown = cv2.imread(str(out / f"{name}_confidence.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(shown / 255, result.confidence, atol=0.0021)
        assert len(json.loads((out / f"{name}.geojson").read_text())["features"]) == len(result.polygons())
        assert len(json.loads((out / f"{name}_polygons.json").read_text())["polygons"]) == len(
            result.polygons()
        )
        areas = {row["class"]: int(row["pixels"]) for row in rows if row["image"].endswith(f"{name}.png")}
        assert areas == result.areas()
        own = [each for each in coco["annotations"] if each["image_id"] == number]
        assert sum(each["area"] for each in own) == (result.labels > 0).sum()
    assert [each["id"] for each in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    assert [image["file_name"] for image in coco["images"]] == ["a.png", "b.png"]


def test_masks_of_classes_that_overlap_are_a_data_set(images, tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 5, padding="same", kernel_initializer="orthogonal")(image / 90))
    model.multilabel, model.classes = True, ("road/lane", "puddle")
    out = tmp_path / "out"
    predict_files(Predictor(model), images, out, overlay=False, save=["masks", "csv"])
    data = kseg.data.from_pairs(images, out / "masks", ["road_lane", "puddle"], multilabel=True)
    rows = list(csv.DictReader((out / "areas.csv").open()))
    for result, (_, masks) in zip(kseg.predict(model, images), data, strict=True):
        assert (result.masks.sum(-1) > 1).any()
        np.testing.assert_array_equal(masks, result.masks)
        for row in (row for row in rows if row["image"] == str(result.path)):
            index = result.classes.index(row["class"])
            inside = result.probabilities[..., index][result.masks[..., index]]
            assert float(row["confidence"]) == pytest.approx(inside.mean(), abs=1e-6)


def test_folders_of_classes_are_told_apart():
    assert class_folders(["a b", "../c", "ä"]) == ["a b", "_c", "ä"]
    assert class_folders(["Car", "car", "/"]) == ["0_Car", "1_car", "2__"]


def test_masks_in_a_benchmarks_ids(images, tmp_path):
    image = keras.Input((None, None, 3))
    scores = keras.layers.Conv2D(150, 5, padding="same", kernel_initializer="orthogonal")(image / 90)
    model = keras.Model(image, scores)
    predict_files(Predictor(model), images, tmp_path / "out", overlay=False, ids="ade20k")
    for result in kseg.predict(model, images):
        written = cv2.imread(str(tmp_path / "out" / result.path.name), cv2.IMREAD_UNCHANGED)
        assert (written.ndim, written.dtype) == (2, np.uint8)
        np.testing.assert_array_equal(written, result.labels + 1)


def test_mistakes(model, images, tmp_path):
    with pytest.raises(SettingsError, match=r"csv, coco, geojson.*; got xml"):
        SavedResults(tmp_path, ["csv", "xml"])
    with pytest.raises(SettingsError, match="holds all images"):
        predict_files(Predictor(model), images, tmp_path / "out", save=["coco"], skip_existing=True)
    with pytest.raises(SettingsError, match="cityscapes has 19 classes"):
        predict_files(Predictor(model), images, tmp_path / "out", ids="cityscapes")
    assert not (tmp_path / "out").exists()
