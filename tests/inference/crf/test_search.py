"""The parameter search, on pictures whose best setting is known."""

import itertools

import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.inference import DenseCRF
from kseg.inference.crf.search import search_crf

GRID = {"weights": (1, 4), "xy_stds": (4, 8), "rgb_stds": (5, 60)}


def sample(seed):
    """Two colours 70 grey levels apart: a colour deviation of 60 ties them together, one of 5 keeps them apart."""
    rng = np.random.default_rng(seed)
    labels = np.broadcast_to(np.arange(24) >= 9, (16, 24)).astype(np.uint8)
    image = (
        (np.where(labels, 110, 70)[..., None] + rng.normal(0, 2, (16, 24, 3))).clip(0, 255).astype(np.uint8)
    )
    right = np.clip(rng.normal(0.55, 0.25, labels.shape), 0.05, 0.95)
    probabilities = np.where(np.stack([labels == 0, labels == 1], -1), right[..., None], 1 - right[..., None])
    return image, probabilities.astype(np.float32), labels


def iou(labels, predictions):
    """Mean IoU of two classes, by sets."""
    return np.mean(
        [
            ((labels == c) & (predictions == c)).sum() / ((labels == c) | (predictions == c)).sum()
            for c in (0, 1)
        ]
    )


@pytest.mark.full
def test_every_trial_scores_as_the_crf_itself():
    image, probabilities, labels = sample(0)
    start = DenseCRF(spatial_std=1, spatial_weight=0.5, iterations=3)
    found = search_crf([(image, probabilities, labels)], crf=start, **GRID, refinements=0)
    assert {trial.bilateral_weight for trial in found.trials} == {1, 4}
    for trial in found.trials:
        crf = DenseCRF(1, 0.5, trial.bilateral_xy_std, trial.bilateral_rgb_std, trial.bilateral_weight, 3)
        assert trial.mean_iou == pytest.approx(iou(labels, crf(image, probabilities).argmax(-1)))
    tried = [(t.bilateral_weight, t.bilateral_xy_std, t.bilateral_rgb_std) for t in found.trials]
    assert sorted(tried) == sorted(itertools.product(*GRID.values()))
    assert found.without == pytest.approx(iou(labels, probabilities.argmax(-1)))


@pytest.mark.full
def test_finds_the_colour_deviation_that_keeps_the_edge():
    found = search_crf([sample(1), sample(2)], **GRID, refinements=0)
    assert found.best.bilateral_rgb_std == 5
    assert found.mean_iou == max(trial.mean_iou for trial in found.trials) > found.without


@pytest.mark.full
def test_refinement_halves_the_steps_around_the_best():
    seen = []
    found = search_crf(
        [sample(1)], weights=(4,), xy_stds=(8,), rgb_stds=(2, 10, 18), refinements=2, progress=seen.append
    )
    assert tuple(seen) == found.trials
    stds = [trial.bilateral_rgb_std for trial in found.trials]
    assert stds[:3] == [2, 10, 18]
    coarse = max(found.trials[:3], key=lambda trial: trial.mean_iou).bilateral_rgb_std
    finer = stds[3 : 3 + 2]
    assert set(finer) <= {coarse - 4, coarse + 4}
    assert len(set(stds)) == len(stds)
    assert found.mean_iou >= max(trial.mean_iou for trial in found.trials[:3])


@pytest.mark.full
def test_on_a_device_as_on_the_processor():
    here, there = (
        search_crf([sample(1)], crf=DenseCRF(iterations=3, device=device), **GRID, refinements=0)
        for device in (None, "cpu")
    )
    assert there.best.device == "cpu:0"
    np.testing.assert_allclose(
        [t.mean_iou for t in there.trials], [t.mean_iou for t in here.trials], atol=3e-3
    )


def test_ignored_pixels_do_not_count():
    image, probabilities, labels = sample(3)
    wrong = labels.copy()
    wrong[:4] = 255
    kept = search_crf(
        [(image, probabilities, wrong)], weights=(4,), xy_stds=(8,), rgb_stds=(5,), refinements=0
    )
    assert kept.without == pytest.approx(iou(labels[4:], probabilities[4:].argmax(-1)))


def test_bad_samples():
    image, probabilities, labels = sample(0)
    with pytest.raises(DataError, match="at least one"):
        search_crf([])
    with pytest.raises(DataError, match="sample 0"):
        search_crf([(image, probabilities, labels[:-1])])
    with pytest.raises(DataError, match="label 7"):
        search_crf([(image, probabilities, np.where(labels == 1, 7, labels))])
    with pytest.raises(DataError, match="sum to one"):
        search_crf([(image, 3 * probabilities, labels)])
    with pytest.raises(DataError, match="pixels with a label"):
        search_crf([(image, probabilities, np.full_like(labels, 255))])
    for wrong in (labels / 2, labels.tolist()):
        with pytest.raises(DataError, match="whole numbers"):
            search_crf([(image, probabilities, wrong)])
    with pytest.raises(SettingsError, match=r"GiB; search on smaller images"):
        search_crf([(image, probabilities, labels)], crf=DenseCRF(memory_limit=1000))


def test_bad_grid():
    with pytest.raises(SettingsError, match="at least one value"):
        search_crf([sample(0)], weights=())
    with pytest.raises(SettingsError, match="bilateral_rgb_std"):
        search_crf([sample(0)], weights=(4,), xy_stds=(8,), rgb_stds=(-1,))
    for refinements in (-1, 1.5):
        with pytest.raises(SettingsError, match="refinements"):
            search_crf([sample(0)], **GRID, refinements=refinements)
