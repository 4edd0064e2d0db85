import hashlib
import json
import shutil

import keras
import numpy as np
import pytest

from kseg import export, models
from kseg.errors import ModelError
from kseg.models.loading import preset


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of presets with one tiny model in it."""
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    model.save(tmp_path / "tiny.keras")
    data = (tmp_path / "tiny.keras").read_bytes()
    (tmp_path / "tiny_int8.tflite").write_bytes(b"not a model")
    files = {
        "keras": {"file": "tiny.keras", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
        "int8": {"file": "tiny_int8.tflite", "sha256": hashlib.sha256(b"other").hexdigest(), "bytes": 11},
    }
    (tmp_path / "tiny.json").write_text(json.dumps({"name": "tiny", "files": files}))
    monkeypatch.setattr(preset, "FOLDER", tmp_path)
    return tmp_path, model


def test_a_preset_is_the_model_that_was_saved(folder):
    _, model = folder
    image = np.random.default_rng(0).uniform(0, 255, (1, 5, 7, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(models.from_preset("tiny")(image)), np.asarray(model(image)))
    assert list(models.presets()) == ["tiny"]


def test_unknown_presets_and_kinds_are_answered_with_those_there_are(folder):
    with pytest.raises(ModelError, match="no preset named 'persons'; presets: tiny"):
        models.from_preset("persons")
    with pytest.raises(ModelError, match="no 'onnx' file; it has keras, int8"):
        models.preset_file("tiny", "onnx")


def test_a_trained_model_is_a_file_or_a_preset(folder, monkeypatch):
    place, _ = folder
    monkeypatch.chdir(place)
    assert models.load_trained("tiny").count_params() == models.load_trained("tiny.keras").count_params() == 8
    (place / "tiny").mkdir()  # as --root camvid stands beside --model camvid
    assert models.load_trained("tiny").count_params() == 8
    for what in ("runs/tiny", "tiny.h5", "gone.keras"):
        with pytest.raises(ModelError, match="no such model file"):
            models.load_trained(what)
    with pytest.raises(ModelError, match=r"huge: no such model file or preset.*best\.keras.*presets: tiny"):
        models.load_trained("huge")


def test_changed_files_are_refused(folder):
    path, _ = folder
    with pytest.raises(ModelError, match=r"tiny_int8\.tflite: SHA-256 is"):
        models.preset_file("tiny", "int8")
    with (path / "tiny.keras").open("r+b") as file:
        file.seek(40)
        file.write(b"x")
    with pytest.raises(ModelError, match="damaged or was changed"):
        models.from_preset("tiny")


def test_cards_may_not_lead_out_of_the_folder(folder):
    path, _ = folder
    shutil.copy(path / "tiny.json", path / "far.json")
    card = json.loads((path / "far.json").read_text())
    card["files"]["keras"]["file"] = "../secret.keras"
    (path / "far.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="names files beside itself"):
        models.presets()


@pytest.mark.full
def test_the_presets_of_the_package():
    """The webcam's people and CamVid's streets: loaded, of the card's classes, and one answer in both files."""
    cards = models.presets()
    assert {"people", "people_hd", "people_portrait", "camvid"} <= set(cards)
    assert "NC" in cards["camvid"]["licence"]
    for name, card in cards.items():
        model = models.from_preset(name)
        assert model.classes == tuple(card["classes"])
        assert model.count_params() == card["parameters"]
        assert model.working_size == tuple(card["size"])
        fast = export.load(models.preset_file(name, "int8"))
        assert fast.size == tuple(card["size"])
        image = np.kron(np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)), np.ones((1, 64, 64, 1)))
        image = image[:, : fast.size[0], : fast.size[1]].astype("float32")
        same = np.asarray(model(image)).argmax(-1) == np.asarray(fast(image)).argmax(-1)
        assert same.mean() > 0.75, name  # on random colours, far from any photo


def test_the_cards_that_come_with_kseg_are_complete():
    fields = ("description", "classes", "palette", "size", "data", "licence", "command", "scores", "limits")
    for name, card in models.presets().items():
        assert card["name"] == name
        assert all(card[field] for field in fields), name
        for kind in card["files"]:
            assert models.preset_file(name, kind).stat().st_size == card["files"][kind]["bytes"] <= 10_000_000
