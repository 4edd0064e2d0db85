import json

import cv2
import keras
import numpy as np
import pytest

import kseg


@pytest.fixture
def report(tools_on_path):
    import export_report

    return export_report


@pytest.fixture
def data(tmp_path):
    """Left dark, right bright, in two images for training and two for validation."""
    for split in ("train", "val"):
        for number in range(2):
            mask = np.zeros((16, 24), np.uint8)
            mask[:, 8 + 4 * number :] = 1
            for part, pixels in (("images", mask * 200), ("masks", mask)):
                (tmp_path / part / split).mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(tmp_path / part / split / f"{number}.png"), pixels)
    (tmp_path / "classes.txt").write_text("dark\nbright\n")
    return tmp_path


@pytest.fixture
def model(tmp_path):
    """Scores that say which of the two a pixel is."""
    image = keras.Input((None, None, 3), name="image")
    network = keras.Model(image, keras.layers.Conv2D(2, 1, name="score")(image))
    network.get_layer("score").set_weights(
        [np.full((1, 1, 3, 2), [0.0, 0.01], "float32"), np.array([1.0, 0], "float32")]
    )
    path = tmp_path / "runs" / "two" / "best.keras"
    path.parent.mkdir(parents=True)
    network.save(path)
    return path


@pytest.mark.full
def test_a_row_for_every_file(report, data, model, tmp_path, capsys):
    command = [str(model), "--data", "folder", "--root", str(data), "--size", "16", "24"]
    command += [
        "--formats",
        "float32",
        "int8",
        "--json",
        str(tmp_path / "r.json"),
        "--keep",
        str(tmp_path / "k"),
    ]
    assert report.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["two/best.keras", "float32", "100.0000%"]
    assert "1.0000 -> 1.0000" in lines[2]
    found = json.loads((tmp_path / "r.json").read_text())
    assert [(row["file"], row["mean_iou_after"], row["short"]) for row in found] == [
        ("float32", 1.0, ""),
        ("int8", 1.0, ""),
    ]
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == [
        "two_float32.tflite",
        "two_int8.tflite",
    ]


def test_a_model_that_cannot_be_exported_falls_short(report, data, model, tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise kseg.errors.ModelError("operations that are not builtin")

    monkeypatch.setattr(kseg.export, "tflite", refuse)
    command = [
        str(model),
        "--data",
        "folder",
        "--root",
        str(data),
        "--size",
        "16",
        "24",
        "--formats",
        "float32",
    ]
    assert report.main(command) == 1
    assert "not builtin" in capsys.readouterr().out


def test_what_falls_short(report):
    def found(agreement=1.0, difference=0.0, logit=10.0, after=0.5, outside=()):
        parity = kseg.export.Parity(1, 100, agreement, difference, logit)
        return kseg.export.Check(
            "x", "tflite", (8, 8), 1, {}, dict.fromkeys(outside, 1), parity, 1.0, 1.0, 0.5, after, None
        )

    assert report.short_of(found(), "float32", True, 0.02) == ""
    assert report.short_of(found(agreement=0.998), "onnx", True, 0.02) == "pixels differ"
    assert "0.001" in report.short_of(found(difference=2e-3), "float32", True, 0.02)
    assert report.short_of(found(difference=2e-3, logit=300.0), "float32", True, 0.02) == ""
    assert "more than 0.02" in report.short_of(found(agreement=0.9, after=0.47), "int8", True, 0.02)
    assert report.short_of(found(agreement=0.9, after=0.47), "int8", False, 0.02) == ""
    assert "FlexErf" in report.short_of(found(outside=["FlexErf"]), "int8", True, 0.02)


@pytest.mark.parametrize(
    ("indices", "agreement", "beyond", "short"),
    [
        (True, 0.992, 0.009, ""),  # a maximum that rounding moves takes its surroundings along
        (True, 0.988, 0.009, "pixels differ"),
        (True, 0.992, 0.011, "logits differ by more than 0.001"),
        (False, 0.992, 0.009, "pixels differ, logits differ by more than 0.001"),
    ],
)
def test_unpooling_may_move_a_hundredth_of_the_pixels(report, indices, agreement, beyond, short):
    parity = kseg.export.Parity(12, 100, agreement, 0.4, 5.0, beyond, indices)
    check = kseg.export.Check("x", "onnx", (8, 8), 1, {}, {}, parity, 1.0, 1.0, 0.5, 0.5, None)
    assert report.short_of(check, "onnx", True, 0.02) == short


@pytest.mark.slow
def test_a_name_of_the_catalog_has_logits_that_can_be_compared(report):
    logits = report.model_named("fcn32s_efficientnetlite0")(np.full((1, 64, 64, 3), 90, "float32"))
    assert np.abs(logits).max() > 0.1


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", [n for n in kseg.models.names() if "efficientnetlite" in n or "small" in n])
def test_formats_agree_on_camvid(report, real_data, name):
    """99.9 % of the pixels and 1e-3 of the logits, float32 and ONNX, on images of CamVid's val."""
    command = [name, "--data", "camvid", "--root", str(real_data / "camvid"), "--limit", "3"]
    assert report.main([*command, "--size", "180", "240", "--formats", "float32", "onnx"]) == 0
