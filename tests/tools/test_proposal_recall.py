import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("proposal_recall", ROOT / "tools" / "proposal_recall.py")
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


@pytest.fixture
def disc(tmp_path):
    """One picture with one bright disc of 80 pixels across."""
    for part in ("images", "masks"):
        (tmp_path / part / "val").mkdir(parents=True)
    image, mask = np.full((160, 220, 3), 60, np.uint8), np.zeros((160, 220), np.uint8)
    cv2.circle(image, (100, 80), 40, (90, 160, 200), -1)
    cv2.circle(mask, (100, 80), 40, 1, -1)
    noise = np.random.default_rng(0).integers(0, 8, image.shape)
    cv2.imwrite(str(tmp_path / "images" / "val" / "a.png"), (image + noise).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "val" / "a.png"), mask)
    (tmp_path / "classes.txt").write_text("ground\ndisc\n")
    return [
        "--data",
        "folder",
        "--root",
        str(tmp_path),
        "--class",
        "disc",
        "--cache",
        str(tmp_path / "cache"),
    ]


def test_a_disc_is_found_and_remembered(disc, tmp_path, capsys):
    assert tool.main(disc) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[2].split() == ["10", "1.000", "1.000"]
    assert "1 objects" in said
    assert len(list((tmp_path / "cache").iterdir())) == 1
    # Its box with context is 96 pixels wide: with no smaller boxes than 120 the disc itself cannot be met by 0.7.
    assert tool.main([*disc, "--smallest", "120"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[2] == "0.000"


def test_a_class_that_is_not_there(disc, capsys):
    with pytest.raises(SystemExit, match="2"):
        tool.main([*disc[:4], "--class", "cat"])
    assert "there are disc" in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert tool.main(["--root", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"proposal_recall: {tmp_path / 'none'}")
