"""`kseg.predict` takes anything with images in it, and gives what the model's own output says."""

import io
import json

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.errors import DataError, SettingsError
from kseg.prediction import predict, predictor, trained_size

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 17, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    scores = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="orthogonal")(image / 50)
    return keras.Model(image, keras.layers.Softmax()(scores))


def expected(model, image=IMAGE):
    return np.asarray(model(image[None].astype("float32")))[0]


def test_one_image_in_every_form(model, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    sources = [
        IMAGE,
        IMAGE.astype(np.float32),
        Image.fromarray(IMAGE),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
    ]
    for source in sources:
        result = kseg.predict(model, source)
        np.testing.assert_allclose(result.probabilities, expected(model), atol=1e-5)
        np.testing.assert_array_equal(result.image, IMAGE)
    assert kseg.predict(model, tmp_path / "a.png").path == tmp_path / "a.png"


def test_files_that_are_open(model, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    content = io.BytesIO((tmp_path / "a.png").read_bytes())
    for several in (False, True):
        content.seek(0)
        with open(tmp_path / "a.png", "rb") as file:
            for source in (content, file):
                result = predict(model, [source])[0] if several else predict(model, source)
                np.testing.assert_array_equal(result.image, IMAGE)
    (tmp_path / "a.txt").write_text("abc")
    with open(tmp_path / "a.txt") as text, pytest.raises(DataError, match="open it in binary mode"):
        predict(model, text)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.stack([IMAGE, IMAGE[::-1]])[index : index + 1], np.zeros((1, 12, 17))


def test_labelled_data_are_predicted_without_the_labels(model, tmp_path):
    x, y = np.stack([IMAGE, IMAGE[::-1]]), np.zeros((2, 12, 17), np.uint8)
    data = kseg.data.from_arrays(x, y, classes=["a", "b", "c"])
    for index in range(2):
        Image.fromarray(x[index]).save(tmp_path / f"{index}.png")
    nowhere = [kseg.data.Sample(tmp_path / f"{index}.png") for index in range(2)]
    files = kseg.data.Dataset("files", "test", ("a",), None, nowhere)
    sources = {
        "pair": (x, y),
        "weighted": (x, y, np.ones(2)),
        "pairs": list(zip(x, y, strict=True)),
        "data set": data,
        "part": data[:2],
        "files without masks": files,
        "loader": kseg.data.Loader(data, batch_size=2, shuffle=False),
        "batches": Batches(),
    }
    for name, source in sources.items():
        found = list(predict(model, source))
        assert len(found) == 2, name
        for result, image in zip(found, x, strict=True):
            np.testing.assert_array_equal(result.image, image, err_msg=name)
    assert [result.path for result in predict(model, files)] == [tmp_path / "0.png", tmp_path / "1.png"]
    assert isinstance(predict(model, sources["pairs"]), list)


def test_a_pil_image_lying_on_its_side(model):
    turned = Image.fromarray(np.rot90(IMAGE))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    np.testing.assert_array_equal(predict(model, turned).image, IMAGE)


def test_several_images(model, tmp_path):
    batch = np.stack([IMAGE, IMAGE[::-1]])
    for source in (batch, list(batch), tuple(batch)):
        found = predict(model, source)
        assert isinstance(found, list)
        for result, image in zip(found, batch, strict=True):
            np.testing.assert_allclose(result.probabilities, expected(model, image), atol=1e-5)
    assert predict(model, []) == []


def test_folders_patterns_and_generators_are_predicted_when_asked(model, tmp_path):
    for name in ("b", "a"):
        Image.fromarray(IMAGE).save(tmp_path / f"{name}.png")
    for source in (tmp_path, str(tmp_path / "*.png")):
        assert [result.path.name for result in predict(model, source)] == ["a.png", "b.png"]
    asked = []
    found = predict(model, (asked.append(i) or IMAGE for i in range(3)))
    assert asked == []
    next(found)
    assert asked == [0]


def test_frames_of_a_video(model, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for level in (40, 200):
        writer.write(np.full((24, 32, 3), level, np.uint8))
    writer.release()
    found = list(predict(model, tmp_path / "v.avi"))
    assert [result.labels.shape for result in found] == [(24, 32)] * 2
    assert abs(found[1].image.mean() - 200) < 5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (IMAGE / 255, "multiply"),
        (IMAGE[..., 0], "repeat"),
        ([[1, 2], [3, 4]], "nested lists"),
        (0.5, "Expected images"),
        (None, "NoneType"),
        ("nowhere.png", "no such file"),
        (b"not an image", "image"),
        ({"image": IMAGE}, "a dict with the keys image"),
        ([{"image": IMAGE}], "a dict with the keys image: choose"),
    ],
)
def test_what_holds_no_image(model, source, words):
    with pytest.raises(DataError, match=words):
        predict(model, source)


def test_settings_reach_the_predictor(model):
    found = predict(model, IMAGE, flip=True)
    mirrored = expected(model, IMAGE[:, ::-1].copy())[:, ::-1]
    np.testing.assert_allclose(found.probabilities, (expected(model) + mirrored) / 2, atol=1e-5)
    used = predictor(model, flip=True)
    np.testing.assert_array_equal(predict(used, IMAGE).probabilities, found.probabilities)
    with pytest.raises(SettingsError, match="flip"):
        predict(used, IMAGE, flip=True)
    with pytest.raises(TypeError, match="mirror"):
        predict(model, IMAGE, mirror=True)


def test_names_and_colours_are_the_models(model):
    image = keras.Input((None, None, 3))
    named = keras.Model(image, model(image))
    named.classes, named.palette = ("sky", "tree", "cow"), ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    result = predict(named, IMAGE)
    assert (result.classes, result.palette) == (named.classes, named.palette)
    assert predict(model, IMAGE).classes == ("class 0", "class 1", "class 2")


def test_an_ensemble_with_a_crf_at_its_end(model):
    seen = []

    def crf(image, probabilities):
        seen.append(probabilities)
        return probabilities[..., ::-1]

    other = keras.Model(model.input, model.output[..., ::-1])
    used = predictor(model, ensemble=[other], crf=crf)
    average = (expected(model) + expected(model)[..., ::-1]) / 2
    np.testing.assert_allclose(used.probabilities(IMAGE), average, atol=1e-5)
    assert len(seen) == 1


def test_proposals_take_the_size_of_the_training(model, tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    model.save(tmp_path / "best.keras")
    recipe = {"recipe": {"crops": "objects", "size": [40, 48]}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert trained_size(tmp_path / "best.keras") == (40, 48)
    assert predictor(tmp_path / "best.keras", proposals=3).size == (40, 48)
    assert predictor(tmp_path / "best.keras", proposals=3, proposal_size=32).size == (32, 32)
    assert predictor(model, proposals=3).size == (224, 224)


def test_settings_that_do_not_go_together(model):
    for settings, words in (
        ({"fuse": "median"}, "mean or max"),
        ({"pad": True}, "window"),
        ({"proposals": 5, "flip": True}, "for whole images"),
    ):
        with pytest.raises(SettingsError, match=words):
            predictor(model, **settings)


def test_exported_files_are_predicted_in_their_own_runtime(model, tmp_path):
    kseg.export.tflite(model, tmp_path / "m.tflite", size=(12, 17))
    result = predict(tmp_path / "m.tflite", IMAGE, trust=True)
    np.testing.assert_allclose(result.probabilities, expected(model), atol=1e-4)
    with pytest.raises(SettingsError, match=r"give the \.keras file"):
        predictor(tmp_path / "m.tflite", flip=True)
