import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main


def test_the_masks_of_a_models_sure_pixels(tmp_path, capsys):
    image = keras.Input((None, None, 3))
    score = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, score(image))
    score.set_weights([np.array([[[[0, 1], [0, 0], [0, 0]]]]) / 10, np.array([0.0, -10])])  # red: class 1
    model.save(tmp_path / "model.keras")
    picture = np.zeros((6, 9, 3), np.uint8)
    picture[:, 3:6], picture[:, 6:] = (100, 0, 0), (200, 0, 0)  # RGB; the middle is undecided
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    words = [
        str(tmp_path / "a.png"),
        "--model",
        str(tmp_path / "model.keras"),
        "--out",
        str(tmp_path / "masks"),
    ]
    assert main(["label", *words, "--confidence", "0.9"]) == 0
    assert "1 images, 66.7% of their pixels labelled" in capsys.readouterr().out
    mask = cv2.imread(str(tmp_path / "masks" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.repeat([[0, 0, 0, 255, 255, 255, 1, 1, 1]], 6, 0))


@pytest.mark.full
def test_an_exported_file_labels_too(tmp_path, capfd):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    path = kseg.models.preset_file("people", "int8")
    words = ["--model", str(path), "--confidence", "0", "--out", str(tmp_path / "m")]
    assert main(["label", str(tmp_path / "a.png"), *words]) == 0
    assert capfd.readouterr().err == ""  # LiteRT says a line of its own
    mask = cv2.imread(str(tmp_path / "m" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, kseg.predictor(path, trust=True)(image))


def test_a_missing_exported_file_is_named(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert main(["label", str(tmp_path / "a.png"), "--model", "no.onnx", "--out", str(tmp_path / "m")]) == 2
    assert "no.onnx: no such exported model" in capsys.readouterr().err


def test_mistakes_are_said_before_the_model_is_read(tmp_path, capsys):
    assert main(["label", str(tmp_path / "no"), "--model", "none", "--out", str(tmp_path / "masks")]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_a_damaged_image_is_named_and_left_out(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "b.png"), np.zeros((40, 60, 3), np.uint8))
    (tmp_path / "in" / "a.png").write_bytes((tmp_path / "in" / "b.png").read_bytes()[:60])
    words = ["label", str(tmp_path / "in"), "--model", "people", "--out", str(tmp_path / "masks")]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"kseg: {tmp_path / 'in' / 'a.png'}: ")
    assert said.out.startswith("1 images, ")
    assert said.out.endswith(f" 1 failed: {tmp_path / 'masks'}\n")
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["b.png"]
    (tmp_path / "in" / "b.png").write_bytes(b"")
    assert main([*words[:-1], str(tmp_path / "none")]) == 2
    assert "2 failed" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
