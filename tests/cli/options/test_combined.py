import argparse
import json

import cv2
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import kseg
from kseg.cli.main import main
from kseg.cli.options.arguments import add_prediction, predictor_of
from kseg.cli.verbs.predict import draw_steps
from kseg.data import read_mask
from kseg.errors import DataError
from kseg.prediction import trained_size


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "proposals"


@pytest.fixture
def other_file(tmp_path, model_file):
    """A second model: the first one's weights with the classes the other way round."""
    model = keras.models.load_model(model_file, compile=False)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([2 * kernel[..., ::-1], bias])
    model.save(tmp_path / "other.keras")
    return tmp_path / "other.keras"


def probabilities(model_file, image):
    logits = np.asarray(keras.models.load_model(model_file, compile=False)(image[None].astype("float32")))[0]
    odds = np.exp(logits.astype(np.float64))
    return odds / odds.sum(-1, keepdims=True)


@pytest.mark.parametrize("mode", ["mean", "product"])
def test_predict_with_an_ensemble(mode, labelled, model_file, other_file, tmp_path):
    picture, out = labelled / "images" / "val" / "v0.png", tmp_path / "out"
    words = ["predict", picture, "--model", model_file, "--out", out, "--ensemble", other_file]
    assert main([*map(str, words), "--ensemble-mode", mode]) == 0
    image = cv2.imread(str(picture))[..., ::-1]
    both = [probabilities(path, image) for path in (model_file, other_file)]
    expected = both[0] + both[1] if mode == "mean" else both[0] * both[1]
    assert_array_equal(read_mask(out / "v0.png"), expected.argmax(-1))


def test_evaluate_with_an_ensemble_and_proposals(labelled, model_file, other_file, cache, capsys):
    words = ["evaluate", "--model", model_file, "--data", "folder", "--root", labelled, "--json"]
    boxes = ["--proposals", 3, "--smallest", 8, "--proposal-size", 16]
    assert main([str(word) for word in (*words, *boxes, "--ensemble", other_file)]) == 0
    report = json.loads(capsys.readouterr().out)
    dataset = kseg.data.load("folder", labelled, "val")
    first, second = (keras.models.load_model(path, compile=False) for path in (model_file, other_file))
    proposals = kseg.inference.ProposalPredictor(first, size=(16, 16), best=3, smallest=8)
    ensemble = kseg.inference.Ensemble([proposals, kseg.inference.Predictor(second)])
    assert report["mean_iou"] == pytest.approx(kseg.evaluation.evaluate(ensemble, dataset).mean_iou)
    assert len(list(cache.iterdir())) == 2


def test_predict_by_proposals_and_its_steps(model_file, tmp_path, capsys):
    image = np.full((120, 160, 3), 50, np.uint8)
    cv2.circle(image, (60, 60), 40, (90, 160, 200), -1)
    noise = np.random.default_rng(0).integers(0, 8, image.shape)
    cv2.imwrite(str(tmp_path / "disc.png"), (image + noise).astype(np.uint8))
    out, steps = tmp_path / "out", tmp_path / "steps"
    words = ["predict", tmp_path / "disc.png", "--model", model_file, "--out", out, "--steps", steps]
    boxes = ["--proposals", 5, "--smallest", 40, "--proposal-size", 32, "--join", "sum"]
    assert main([str(word) for word in (*words, *boxes)]) == 0
    assert capsys.readouterr().err == ""
    model = keras.models.load_model(model_file, compile=False)
    predictor = kseg.inference.ProposalPredictor(model, size=(32, 32), best=5, smallest=40, mode="sum")
    assert_array_equal(read_mask(out / "disc.png"), predictor(kseg.data.read_image(tmp_path / "disc.png")))
    assert [path.name for path in steps.iterdir()] == ["disc_steps.png"]
    # The image, and the labels after 1, 2, 4 and 5 boxes: two rows of four columns.
    assert cv2.imread(str(steps / "disc_steps.png")).shape[1] > 4 * 240
    drawn = ([out / "disc.png"], [tmp_path / "disc.png"], out, steps)
    with pytest.raises(DataError, match="limit of 99,"):
        draw_steps(predictor, *drawn, max_pixels=99)


def test_without_proposals_the_whole_picture_is_predicted_and_told(model_file, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 60, 3), 99, np.uint8))
    out = tmp_path / "out"
    words = ["predict", tmp_path / "flat.png", "--model", model_file, "--out", out, "--proposals", 5]
    assert main([str(word) for word in words]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kseg: {tmp_path / 'flat.png'}: none of 0 proposals")
    assert "whole image" in line
    assert read_mask(out / "flat.png").shape == (40, 60)


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        ({"crops": "proposals", "size": [112, 96]}, (112, 96)),
        ({"crops": None, "size": [256, 352]}, (224, 224)),
        ({"size": [256, 352]}, (224, 224)),
        (None, (224, 224)),
    ],
)
def test_proposals_have_the_size_of_the_training(recipe, size, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    (tmp_path / "best.keras").write_bytes(b"")
    assert trained_size(tmp_path / "best.keras") == size
    assert trained_size(tmp_path / "elsewhere" / "best.keras") == (224, 224)


def test_a_preset_by_name_has_its_own_size(tmp_path, monkeypatch):
    """Not that of a run in whose folder the command is called."""
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"crops": "objects", "size": [64, 64]}}))
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_prediction(parser)
    args = parser.parse_args(["--proposals", "5"])
    args.model, args.verb = "people", "predict"
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    assert predictor_of(model, args).size == (224, 224)
    model.working_size = (192, 256)
    assert predictor_of(model, args).size == (192, 256)
    args.proposal_size = 100
    assert predictor_of(model, args).size == (100, 100)


def test_mistakes(labelled, model_file, tmp_path, mistake):
    picture, out = labelled / "images" / "val" / "v0.png", tmp_path / "out"

    def wrong(*more):
        return mistake("predict", picture, "--model", model_file, "--out", out, *more)

    assert "--proposals too" in wrong("--steps", tmp_path / "steps")
    assert "for whole images" in wrong("--proposals", 5, "--flip")
    assert "for whole images" in wrong("--proposals", 5, "--size", 20, 20)
    (tmp_path / "file").write_text("")
    assert "file" in wrong("--proposals", 5, "--steps", tmp_path / "file")
    assert "no.keras" in wrong("--ensemble", tmp_path / "no.keras")
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Conv2D(5, 1)(image)).save(tmp_path / "five.keras")
    assert "share their classes" in wrong("--ensemble", tmp_path / "five.keras")
    assert not out.exists()
    assert not (tmp_path / "steps").exists()
