import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).parents[3] / "tools" / "people" / "clip.py"


@pytest.fixture(scope="module")
def clip():
    spec = importlib.util.spec_from_file_location("clip", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [(500, 333), (333, 500), (90, 400)])
def test_windows_stay_inside_and_move(clip, size):
    width, height = size
    found = list(clip.windows(width, height, 9))
    for left, top, wide in found:
        assert -1e-9 <= left <= width - wide + 1e-9
        assert -1e-9 <= top <= height - wide * 3 / 4 + 1e-9
    assert found[0] != found[-1]


@pytest.mark.full
def test_a_clip_of_two_photos(clip, tmp_path):
    for number, grey in enumerate((60, 180)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((60, 80, 3), grey, np.uint8))
    photos = [tmp_path / "0.png", tmp_path / "1.png"]
    assert clip.write(photos, tmp_path / "c.mp4", 0.08) == 4
    video, means = cv2.VideoCapture(str(tmp_path / "c.mp4")), []
    while (read := video.read())[0]:
        assert read[1].shape == (480, 640, 3)
        means.append(read[1].mean())
    assert np.allclose(means, [60, 60, 180, 180], atol=5)
    (tmp_path / "x.png").write_text("none")
    with pytest.raises(SystemExit, match="not an image"):
        clip.write([tmp_path / "x.png"], tmp_path / "d.mp4", 0.1)
