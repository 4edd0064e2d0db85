import json

import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main


def plain_mean_iou(model_file, dataset) -> float:
    """Mean IoU by sets of pixels, without a confusion matrix."""
    model, truth, predicted = keras.models.load_model(model_file), [], []
    for index in range(len(dataset)):
        image, labels = dataset.load(index)
        found = np.asarray(model(image[None].astype(np.float32)))[0].argmax(-1)
        truth.append(labels[labels != 255])
        predicted.append(found[labels != 255])
    truth, predicted = np.concatenate(truth), np.concatenate(predicted)
    ious = [
        ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum()
        for c in range(dataset.num_classes)
        if ((truth == c) | (predicted == c)).any()
    ]
    return float(np.mean(ious))


def test_json_agrees_with_a_plain_count(labelled, model_file, capsys):
    command = ["evaluate", "--model", str(model_file), "--data", "folder", "--root", str(labelled)]
    assert main([*command, "--split", "train", "--json", "--boundaries"]) == 0
    found = json.loads(capsys.readouterr().out)
    dataset = kseg.data.load("folder", labelled, "train")
    assert found["mean_iou"] == pytest.approx(plain_mean_iou(model_file, dataset))
    assert found["pixels"] == 4 * 24 * 31  # the last column is ignored
    assert found["classes"] == ["ground", "left", "right"]
    assert 0 <= found["boundary_f1"] <= 1


def test_table_and_files(labelled, model_file, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    import cv2

    folder = tmp_path / "a" / "report"
    command = ["evaluate", "--model", str(model_file), "--data", "folder", "--root", str(labelled)]
    assert main([*command, "--save", str(folder), "--worst", "1", "--sheet", "2", "--flip"]) == 0
    shown = capsys.readouterr().out
    assert (folder / "table.txt").read_text() == shown
    assert "ground" in shown
    assert json.loads((folder / "report.json").read_text())["images"] == 2
    assert cv2.imread(str(folder / "confusion.png")) is not None
    assert len(json.loads((folder / "report.json").read_text())["worst"]) == 1
    assert cv2.imread(str(folder / "worst.png")) is not None
    # Both images, each once, in a row of image, truth, prediction and overlay.
    assert cv2.imread(str(folder / "sheet.png")).shape[1] == 6 + 4 * 246


def test_the_trimap_curve_is_drawn_beside_another(labelled, model_file, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    import cv2

    command = ["evaluate", "--model", str(model_file), "--data", "folder", "--root", str(labelled)]
    command += ["--boundaries", "--worst", "0"]
    assert main([*command, "--save", str(tmp_path / "plain")]) == 0
    beside = str(tmp_path / "plain" / "report.json")
    assert main([*command, "--save", str(tmp_path / "mirrored"), "--flip", "--beside", beside]) == 0
    found = json.loads((tmp_path / "mirrored" / "trimap.json").read_text())
    assert found["pixels"] == list(range(1, 41))
    for name in ("plain", "mirrored"):
        report = json.loads((tmp_path / name / "report.json").read_text())
        assert found["mean_iou"][name] == list(report["trimap_iou"].values())
        assert cv2.imread(str(tmp_path / name / "trimap.png")) is not None
    assert list(found["mean_iou"]) == ["plain", "mirrored"]
    assert main([*command, "--save", str(tmp_path / "a"), "--beside", str(labelled / "classes.txt")]) == 2
    assert "classes.txt: not the report.json" in capsys.readouterr().err


def test_curves_of_folders_of_one_name(labelled, model_file, tmp_path, mistake, capsys):
    pytest.importorskip("matplotlib")
    command = ["evaluate", "--model", str(model_file), "--data", "folder", "--root", str(labelled)]
    command += ["--boundaries", "--worst", "0"]
    first = str(tmp_path / "a" / "report")
    beside = ["--beside", f"{first}/report.json"]
    assert main([*command, "--save", first]) == 0
    assert main([*command, "--save", str(tmp_path / "b" / "report"), "--flip", *beside]) == 0
    found = json.loads((tmp_path / "b" / "report" / "trimap.json").read_text())["mean_iou"]
    for run in "ab":
        report = json.loads((tmp_path / run / "report" / "report.json").read_text())
        assert found[f"{run}/report"] == list(report["trimap_iou"].values())
    capsys.readouterr()
    assert "--boundaries and --save" in mistake(*command, *beside)
    assert "overwrite" in mistake(*command, "--save", first, *beside)


def test_a_sheet_needs_a_folder(labelled, model_file, mistake):
    command = ["evaluate", "--model", model_file, "--data", "folder", "--root", labelled]
    assert "--save" in mistake(*command, "--sheet", 2)


def test_mistakes(labelled, model_file, tmp_path, mistake):
    def wrong(*more, model=model_file, data="folder", root=labelled):
        return mistake("evaluate", "--model", model, "--data", data, "--root", root, *more)

    assert "no.keras" in wrong(model=tmp_path / "no.keras")
    assert "no split 'test'" in wrong("--split", "test")
    assert "nowhere" in wrong(root=tmp_path / "nowhere")
    assert "11" in wrong(data="camvid")  # 3 classes of the model, 11 of the data set
    (labelled / "masks" / "val" / "v0.png").write_bytes(b"broken")
    assert str(labelled / "masks" / "val" / "v0.png") in wrong("--save", tmp_path / "report")
    assert not (tmp_path / "report").exists()
