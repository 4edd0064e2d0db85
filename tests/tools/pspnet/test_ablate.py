"""The ablations on a tiny network: tables, verdicts, and that a second start trains nothing again."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import kseg

ROOT = Path(__file__).resolve().parents[3]
_spec = importlib.util.spec_from_file_location("ablate", ROOT / "tools" / "pspnet" / "ablate.py")
ablate = importlib.util.module_from_spec(_spec)
sys.modules["ablate"] = ablate  # dataclasses look their module up
_spec.loader.exec_module(ablate)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for part in ("images", "masks"):
            (tmp_path / "data" / part / split).mkdir(parents=True)
        for number in range(2):
            mask = rng.integers(0, 3, (4, 4), np.uint8).repeat(8, 0).repeat(8, 1)
            cv2.imwrite(
                str(tmp_path / f"data/images/{split}/{number}.png"), mask[..., None].repeat(3, 2) * 100
            )
            cv2.imwrite(str(tmp_path / f"data/masks/{split}/{number}.png"), mask)
    return tmp_path / "data"


@keras.saving.register_keras_serializable(package="test_ablate")
class TwoStages(kseg.backbones.Backbone):
    """Output stride 4; the deepest map has 6 channels."""

    output_stride = 4

    def __init__(self, **kwargs):
        image = keras.Input((None, None, 3), name="image")
        x = keras.layers.Rescaling(1 / 255, name="scale")(image)
        stage4 = keras.layers.Conv2D(5, 4, 4, activation="relu", name="one")(x)
        stage5 = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="two")(stage4)
        super().__init__(image, {"stage4": stage4, "stage5": stage5}, **kwargs)


def tiny(name, num_classes):
    backbone = TwoStages(name="two_stages")
    return kseg.models.PSPNet(backbone, num_classes, filters=3, align_corners=False, dropout=0.2)


@pytest.mark.slow
def test_trains_scores_and_goes_on(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kseg.models, "build", tiny)
    out = tmp_path / "out"
    command = ["pspnet", "--data", "folder", "--root", str(images), "--out", str(out), "--seeds", "7"]
    command += ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "2", "--size", "32", "32"]
    command += ["--only", "test"]
    assert ablate.main([*command, "--table"]) == 0
    assert "not run" in capsys.readouterr().out
    assert not out.exists()
    assert ablate.main(command) == 0
    shown = capsys.readouterr()
    assert "1 of 1" in shown.err
    assert "42.78      80.76" in shown.out
    assert "one seed" in shown.out
    assert "1 epochs of 1 steps, batches of 2, crops of (32, 32)" in shown.out
    assert (out / "tables.txt").read_text() == shown.out
    folder = out / "b1236-ave-dr-aux0.4-7"
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert set(scores) == {"single", "multi"}
    model = kseg.models.load(folder / "last.keras")
    found = kseg.evaluation.evaluate(model, kseg.data.load("folder", images, "val"))
    assert scores["single"] == pytest.approx([100 * found.mean_iou, 100 * found.pixel_accuracy])

    monkeypatch.setattr(kseg.training, "fit", None)  # another start needs no training
    assert ablate.main(command) == 0
    assert capsys.readouterr().out == shown.out
    assert ablate.main([*command, "--epochs", "2"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert {path.name for path in folder.glob("scores*")} == {"scores.json"}
    (folder / "scores.json").write_text('{"settings": ')
    assert ablate.main(command) == 2
    assert "scores.json: damaged" in capsys.readouterr().err


def test_mistakes_and_a_seed_named_twice(tmp_path, monkeypatch, capsys):
    command = ["pspnet", "--data", "camvid", "--out", str(tmp_path / "out"), "--table"]
    assert ablate.main([*command, "--only", "nosuch"]) == 2
    assert "the tables are Pooling" in capsys.readouterr().err
    assert ablate.main([*command, "--epochs", "0"]) == 2
    seen = []
    monkeypatch.setattr(ablate, "table", lambda title, rows, scores, seeds: seen.append(seeds) or "")
    assert ablate.main([*command, "--seeds", "1", "1"]) == 0
    assert seen == [[1]] * 3  # two equal seeds would make a difference without noise


@pytest.mark.slow
def test_variants_have_the_papers_layers(monkeypatch):
    monkeypatch.setattr(kseg.models, "build", tiny)
    channels = {}
    for row in ablate.PSPNET["Pooling (the paper's table 1)"]:
        model = ablate.build("tiny", 4, row.variant, seed=0)
        layers = {layer.name: layer for layer in model.layers}
        assert (model.dropout, model.align_corners) == (0.2, False)
        assert ("pyramid" in layers) == bool(row.variant.bins)
        channels[row.label.removeprefix("ResNet50")] = layers["conv"].kernel.shape[2]
        if row.variant.bins:
            assert layers["pyramid"].mode == ("max" if "MAX" in row.label else "average")
    deepest = 6
    assert channels["-Baseline"] == deepest
    assert channels["+B1+MAX"] == channels["+B1+AVE"] == 2 * deepest
    assert channels["+B1236+MAX"] == channels["+B1236+AVE"] == 5 * deepest
    assert channels["+B1236+MAX+DR"] == channels["+B1236+AVE+DR"] == deepest + 4 * 3


def test_every_run_has_its_own_folder_and_weight():
    rows = [row for part in ablate.PSPNET.values() for row in part]
    variants = {row.variant for row in rows}
    assert len(variants) == len({variant.key for variant in variants}) == 11
    weights = {row.variant.auxiliary for row in ablate.PSPNET["Auxiliary loss (table 2)"]}
    assert weights == {None, 0.3, 0.4, 0.6, 0.9}
    labels = [row.label for row in rows]
    assert len(labels) == len(set(labels))
    assert {label for pair in ablate.ORDERINGS for label in pair} <= set(labels)
    for better, worse in ablate.ORDERINGS:  # they are the paper's own
        scores = {row.label: row.paper[0] for row in rows}
        assert scores[better] > scores[worse]


def test_verdicts():
    assert "not run" in ablate.verdict([])
    assert "one seed" in ablate.verdict([3.0])
    assert ablate.verdict([1.0, 1.1, 0.9]).endswith("shows")
    assert ablate.verdict([-1.0, -1.1, -0.9]).endswith("reversed")
    assert ablate.verdict([1.0, -0.8, 0.9]).endswith("within noise")
    # SciPy: stats.t.interval(0.95, 2, loc=2, scale=stats.sem([1, 2, 3])) is 2 ± 2.484
    assert ablate.verdict([1.0, 2.0, 3.0]) == "+2.00 ± 2.48   within noise"


def test_table_has_mean_and_spread():
    row = ablate.Row("x", (1.0, 2.0), ablate.FULL)
    scores = {(ablate.FULL, seed): {"single": (10.0 + seed, 50.0)} for seed in (0, 2)}
    line = ablate.table("t", (row,), scores, [0, 1, 2]).splitlines()[-1]
    assert line.split() == ["x", "1.00", "2.00", "11.00", "±", "1.41", "50.00", "±", "0.00", "2"]
