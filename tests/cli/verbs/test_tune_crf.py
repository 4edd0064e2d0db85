"""kseg tune-crf: what it writes is the search's result, and --crf takes it."""

import json

import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main
from kseg.inference import DenseCRF, Predictor, search_crf
from kseg.inference.crf.settings_file import crf_to_dict, load_crf


def words(labelled, model_file, out, *more):
    start = ["tune-crf", "--model", model_file, "--data", "folder", "--root", labelled, "--out", out]
    return [str(word) for word in (*start, "--split", "train", *more)]


def test_the_file_holds_the_best_of_the_search(labelled, model_file, tmp_path, capsys):
    out = tmp_path / "crf.json"
    grid = ["--weights", "1", "4", "--xy", "6", "--rgb", "20", "--refinements", "1", "--iterations", "2"]
    assert main(words(labelled, model_file, out, "--limit", "2", "--smooth", "1", "2", *grid)) == 0
    shown = capsys.readouterr().out

    model, dataset = keras.models.load_model(model_file), kseg.data.load("folder", labelled, "train")
    samples = []
    for index in (0, 2):  # two of four, evenly spaced
        image, labels = dataset.load(index)
        samples.append((image, Predictor(model).probabilities(image), labels))
    start = DenseCRF(spatial_weight=1, spatial_std=2, iterations=2)
    expected = search_crf(samples, crf=start, weights=(1, 4), xy_stds=(6,), rgb_stds=(20,))
    assert crf_to_dict(load_crf(out)) == crf_to_dict(expected.best)
    written = json.loads(out.read_text())
    assert written["mean_iou"] == pytest.approx(expected.mean_iou)
    assert written["mean_iou_without"] == pytest.approx(expected.without)
    assert (written["pictures"], len(written["trials"])) == (2, len(expected.trials))
    assert f"{expected.without:.4f} without a CRF, {expected.mean_iou:.4f} with the best" in shown
    assert ("none of them is better" in shown) == (not expected.mean_iou > expected.without)
    assert np.isfinite(expected.mean_iou)


def test_mistakes_before_the_work(labelled, model_file, tmp_path, mistake):
    assert "folder that exists" in mistake(*words(labelled, model_file, tmp_path / "no" / "crf.json"))
    assert "folder that exists" in mistake(*words(labelled, model_file, tmp_path))
    on = "--crf-device", "gpu:63"
    assert "cannot run on device gpu:63" in mistake(*words(labelled, model_file, tmp_path / "a.json", *on))
    (labelled / "classes.txt").write_text("ground\nleft\nright\nfar\n")
    assert "made for 3 classes" in mistake(*words(labelled, model_file, tmp_path / "a.json"))
    (labelled / "classes.txt").write_text("ground\nleft\nright\n")
    assert "limit of 9," in mistake(*words(labelled, model_file, tmp_path / "a.json", "--max-pixels", 9))
    assert "no split" in mistake(*words(labelled, model_file, tmp_path / "a.json", "--split", "test"))


def test_memory(labelled, model_file, tmp_path, mistake, monkeypatch):
    monkeypatch.setattr("kseg.evaluation.crf_search.free_memory", lambda: 10_000.0)
    assert "smaller limit" in mistake(*words(labelled, model_file, tmp_path / "crf.json"))
