import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture(scope="module")
def slices():
    spec = importlib.util.spec_from_file_location("slices", TOOLS / "slices.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_iou_against_sets(slices):
    rng = np.random.default_rng(0)
    person, mask = rng.random((20, 30)) < 0.4, rng.choice([0, 1, 255], (20, 30), p=[0.6, 0.3, 0.1])
    known = mask != 255
    expected = [
        ((person == side) & (mask == side) & known).sum()
        / (((person == side) | (mask == side)) & known).sum()
        for side in (0, 1)
    ]
    assert slices.mean_iou(slices.counts(person, mask)) == pytest.approx(np.mean(expected))


def test_images_fall_into_slices_by_their_share_of_person(slices):
    masks = [np.zeros((10, 10), np.uint8) for _ in range(4)]
    masks[0].flat[:5] = 1  # 5 %
    masks[1].flat[:60] = 1  # 60 %
    masks[2].flat[:5] = 1
    masks[3].flat[:20] = 255  # nobody, a fifth unknown
    people = [mask == 1 for mask in masks]
    people[2] = np.zeros((10, 10), bool)
    people[3] = np.arange(100).reshape(10, 10) < 40  # a quarter of what is known
    found = slices.by_slice(people, masks, ["a", "a", "b", "rooms"])
    assert found["images"] == [2, 0, 0, 0, 1]
    assert found["slices_by_image"] == [pytest.approx((1 + 0.95 / 2) / 2, abs=1e-4), None, None, None, 1.0]
    # Pooled: of ten person pixels five are found; of 195 found as background 190 are.
    assert found["slices"][0] == pytest.approx((5 / 10 + 190 / 195) / 2, abs=1e-4)
    assert found["empty"] == {"rooms": 0.25}
    assert found["by_source"]["b"] == pytest.approx(0.475, abs=1e-4)


def test_a_portrait_window_lies_inside_and_is_filled(slices):
    mask = np.zeros((300, 350), np.uint8)
    mask[60:300, 120:220] = 1
    body = np.array([120, 60, 100, 240, 24_000], np.float32)
    found = [slices.portrait_window(mask, body, np.random.default_rng(seed)) for seed in range(20)]
    windows = [one for one in found if one]
    assert len(windows) > 10
    for left, top, right, bottom in windows:
        assert 0 <= left < right <= 350
        assert 0 <= top < bottom <= 300
        assert 0.45 < (mask[top:bottom, left:right] == 1).mean() < 0.9
    assert slices.portrait_window(mask, np.array([0, 0, 9, 9, 81.0]), np.random.default_rng(0)) is None


def test_portraits_of_samples(slices):
    mask = np.zeros((352, 352), np.uint8)
    mask[60:300, 120:220] = 1
    sample = SimpleNamespace(
        source="voc_people",
        count=1,
        size=(300, 350),
        mask=mask,
        image=np.repeat(mask[..., None], 3, -1),
        bodies=np.array([[120, 60, 100, 240, 24_000]], np.float32),
    )
    images, masks = slices.portraits([sample, SimpleNamespace(source="rooms", count=0)], 64)
    assert [one.shape for one in images] == [(64, 64, 3)]
    assert (masks[0] == 1).mean() > 0.4


@pytest.mark.full
def test_scores_of_outlines_and_flicker(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(TOOLS))
    import score

    for name in ("score", "data", "pasted", "slices", "teacher", "listing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 1
    assert score.outline(mask == 1, mask) == (1.0, 0.0)
    f1, distance = score.outline(np.roll(mask == 1, 1, axis=1), mask)
    assert f1 == 1.0  # a pixel is within two
    assert 0 < distance <= 1
    assert score.outline(mask == 2, mask) is None
    image = np.full((8, 8, 3), 127, np.uint8)
    assert score.flicker(lambda pixels: pixels[..., 0] > 20, [image]) == 0
    assert 0.3 < score.flicker(lambda pixels: pixels[..., 0] > 126.5, [image] * 20) < 0.7
