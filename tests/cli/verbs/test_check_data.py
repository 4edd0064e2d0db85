import json

import cv2
import numpy as np

from kseg.cli.main import main


def test_a_sound_folder(labelled, capsys):
    assert main(["check-data", str(labelled)]) == 0
    shown = capsys.readouterr().out
    assert "6 images with masks, 0 problem(s)" in shown
    # 6 masks of 24 rows; columns: 10 left, 11 right (32 // 3 from the end, rounded up) less one ignored.
    assert f"{6 * 24 * 10:,}" in shown


def test_json_of_a_folder_with_faults(labelled, capsys):
    (labelled / "masks" / "val" / "v1.png").unlink()
    cv2.imwrite(str(labelled / "masks" / "train" / "t0.png"), np.full((24, 32), 9, np.uint8))
    assert main(["check-data", str(labelled), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert {(f["kind"], f["file"].rpartition("/")[2]) for f in found["findings"] if f["fatal"]} == {
        ("no mask", "v1.png"),
        ("unknown class", "t0.png"),
    }


def test_a_data_set_by_name_checks_its_splits(labelled, capsys):
    assert main(["check-data", "--data", "camvid", "--root", str(labelled), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(f["name"], f["samples"]) for f in found] == [("camvid train", 4), ("camvid val", 2)]


def test_a_split_that_cannot_be_listed_is_a_finding(labelled, capsys):
    (labelled / "masks" / "val" / "v1.png").unlink()
    assert main(["check-data", "--data", "camvid", "--root", str(labelled)]) == 1
    shown = capsys.readouterr().out
    assert "camvid train: 4 images with masks, 0 problem(s)" in shown
    assert "v1.png" in shown


def test_one_split_of_a_folder(labelled, capsys):
    (labelled / "masks" / "train" / "t0.png").write_bytes(b"")
    assert main(["check-data", "--data", "folder", "--root", str(labelled), "--split", "val"]) == 0
    assert "folder val: 2 images with masks" in capsys.readouterr().out


def test_mistakes(tmp_path, labelled, mistake):
    assert "--split needs --data" in mistake("check-data", labelled, "--split", "val")
    assert "1 to 255" in mistake("check-data", labelled, "--classes", "300")
    assert "nowhere" in mistake("check-data", tmp_path / "nowhere")
    assert "nowhere" in mistake("check-data", "--data", "camvid", "--root", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: expected the folders images/ and masks/" in mistake(
        "check-data", tmp_path / "empty"
    )
    assert "--root" in mistake("check-data", "--data", "folder")
    assert "nosuch" in mistake("check-data", "--data", "nosuch", "--root", labelled)
    assert "either a folder or --data" in mistake("check-data")
    assert "either a folder or --data" in mistake("check-data", labelled, "--data", "camvid")


def test_a_sheet_of_images_and_masks(labelled, tmp_path, capsys):
    (labelled / "masks" / "val" / "v1.png").write_bytes(b"")
    assert main(["check-data", str(labelled), "--sheet", str(tmp_path / "sheet.png")]) == 1
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 900  # four in a row
    capsys.readouterr()


def test_a_sheet_of_two_channels(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    np.save(tmp_path / "images/a.npy", rng.random((30, 40, 2)).astype(np.float32))
    cv2.imwrite(str(tmp_path / "masks/a.png"), rng.integers(0, 2, (30, 40), dtype=np.uint8))
    (tmp_path / "channels.json").write_text('{"channels": 2, "value_range": [0, 1]}')
    assert main(["check-data", str(tmp_path), "--sheet", str(tmp_path / "sheet.png")]) == 0
    shown = capsys.readouterr().out
    assert "values of 0 to 1" in shown
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10


def test_no_sheet_without_an_image(tmp_path, mistake):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    assert "no image with its mask" in mistake("check-data", tmp_path, "--sheet", tmp_path / "sheet.png")
