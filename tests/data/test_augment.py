from dataclasses import asdict

import cv2
import numpy as np
import pytest
import tensorflow as tf

from kseg.data import Augment
from kseg.data.augment import MEAN_COLOUR, centre
from kseg.errors import SettingsError

HEIGHT, WIDTH = 90, 70
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
COORDINATES = np.stack([2 * ROWS, 2 * COLUMNS, np.full_like(ROWS, 100)], -1)
MEAN = np.array(MEAN_COLOUR)


def apply(augment, image, label, size, seed):
    image, label = augment(tf.constant(image), tf.constant(label), size, tf.constant([seed, 5], tf.int64))
    return image.numpy(), label.numpy()


def source_of(augment, size, seed):
    """Where every pixel of the result comes from, by the mask (rows, columns) and by the image."""
    image, rows = apply(augment, COORDINATES, ROWS, size, seed)
    _, columns = apply(augment, COORDINATES, COLUMNS, size, seed)
    return rows.astype(int), columns.astype(int), image[..., :2].astype(float) / 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(48, 64), (131, 97), None])
def test_image_and_mask_move_together(size, seed):
    augment = Augment(scale=(0.6, 1.7), mirror=True, rotate=30, jitter=9)
    rows, columns, image = source_of(augment, size, seed)
    assert rows.shape == (size or (HEIGHT, WIDTH))
    inside = (rows > 0) & (rows < HEIGHT - 1) & (columns > 0) & (columns < WIDTH - 1)
    assert inside.mean() > 0.1
    # Nearest is at most half a pixel away from the exact place that bilinear gives, and the image's
    # coordinates are rounded to quarters of a pixel.
    assert np.abs(image[..., 0] - rows)[inside].max() <= 0.76
    assert np.abs(image[..., 1] - columns)[inside].max() <= 0.76
    np.testing.assert_array_equal(rows == 255, columns == 255)


def test_mask_holds_only_its_own_ids_and_255():
    label = np.random.default_rng(0).choice(np.array([0, 3, 200], np.uint8), (HEIGHT, WIDTH))
    for seed in range(5):
        _, found = apply(Augment(scale=(0.5, 2), rotate=45), COORDINATES, label, (64, 64), seed)
        assert set(np.unique(found)) <= {0, 3, 200, 255}


@pytest.mark.parametrize("seed", range(4))
def test_geometry_against_opencv(seed):
    """The map read off three pixels of the mask's coordinates, handed to cv2.warpAffine, gives the image."""
    image = cv2.GaussianBlur(
        np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 3
    )
    augment = Augment(scale=(1.2, 1.6), mirror=True, rotate=15)
    size = (40, 44)
    found, _ = apply(augment, image, ROWS, size, seed)
    _, _, places = source_of(augment, size, seed)
    y, x = np.mgrid[: size[0], : size[1]]
    design = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1)
    fit, *_ = np.linalg.lstsq(design, places[..., ::-1].reshape(-1, 2), rcond=None)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(image, fit.T, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(found.astype(int) - expected.astype(int)).mean() < 0.6


def test_nothing_asked_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (11, 17, 3), dtype=np.uint8)
    label = np.random.default_rng(1).integers(0, 9, (11, 17), dtype=np.uint8)
    found = apply(Augment(), image, label, None, 3)
    np.testing.assert_array_equal(found[0], image)
    np.testing.assert_array_equal(found[1], label)


def test_mirror_happens_half_of_the_time_and_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    label = np.arange(72, dtype=np.uint8).reshape(8, 9)
    mirrored = 0
    for seed in range(40):
        found = apply(Augment(mirror=True), image, label, None, seed)
        side = -1 if found[1][0, 0] == 8 else 1
        mirrored += side == -1
        np.testing.assert_array_equal(found[0], image[:, ::side])
        np.testing.assert_array_equal(found[1], label[:, ::side])
    assert 10 <= mirrored <= 30


def test_random_crop_is_an_exact_window_and_reaches_every_place():
    starts = set()
    for seed in range(60):
        rows, columns, _ = source_of(Augment(), (HEIGHT - 2, WIDTH - 1), seed)
        top, left = rows[0, 0], columns[0, 0]
        starts.add((top, left))
        np.testing.assert_array_equal(rows, ROWS[top : top + HEIGHT - 2, : WIDTH - 1])
        np.testing.assert_array_equal(columns, COLUMNS[: HEIGHT - 2, left : left + WIDTH - 1])
    assert starts == {(top, left) for top in range(3) for left in range(2)}


def test_scale_factor_is_within_its_limits():
    factors = []
    for seed in range(30):
        _, _, image = source_of(Augment(scale=(1.5, 3.0)), (40, 40), seed)
        factors.append(39 / (image[-1, 20, 0] - image[0, 20, 0]))
        across = 39 / (image[20, -1, 1] - image[20, 0, 1])
        np.testing.assert_allclose(factors[-1], across, rtol=0.06)  # never stretched
    assert 1.4 < min(factors) < 1.9
    assert 2.5 < max(factors) < 3.2


def test_jitter_shifts_by_whole_pixels():
    shifts = []
    for seed in range(40):
        rows, columns, _ = source_of(Augment(jitter=4), None, seed)
        known = rows != 255
        down, right = (rows - ROWS)[known], (columns - COLUMNS)[known]
        assert np.ptp(down) == np.ptp(right) == 0
        shifts.append((down[0], right[0]))
    assert np.abs(shifts).max() == 4
    assert len({down for down, _ in shifts}) > 5


@pytest.mark.parametrize("colours", [{}, {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}])
def test_padding_is_mean_colour_and_255(colours):
    image, label = apply(Augment(**colours), COORDINATES, ROWS, (HEIGHT + 20, WIDTH + 30), 1)
    outside = label == 255
    assert outside.sum() == (HEIGHT + 20) * (WIDTH + 30) - HEIGHT * WIDTH
    np.testing.assert_array_equal(image[outside], np.broadcast_to(MEAN, (outside.sum(), 3)))
    assert (image[~outside] != MEAN).any(axis=-1).mean() > 0.99


def test_brightness_is_one_factor():
    image = np.random.default_rng(0).integers(20, 150, (30, 30, 3), dtype=np.uint8)
    factors = []
    for seed in range(20):
        found, _ = apply(Augment(brightness=0.4), image, image[..., 0], None, seed)
        factors.append(found.sum() / image.sum())
        np.testing.assert_allclose(found, image * factors[-1], atol=1)
    assert 0.6 <= min(factors) < 0.8
    assert 1.2 < max(factors) <= 1.4


def test_contrast_keeps_the_mean_grey():
    image = np.random.default_rng(0).integers(90, 160, (30, 30, 3), dtype=np.uint8)
    luma = np.array([0.299, 0.587, 0.114])
    spread = []
    for seed in range(20):
        found, _ = apply(Augment(contrast=0.5), image, image[..., 0], None, seed)
        np.testing.assert_allclose((found @ luma).mean(), (image @ luma).mean(), atol=0.6)
        spread.append(found.std() / image.std())
    assert min(spread) < 0.75
    assert max(spread) > 1.25


@pytest.mark.parametrize("setting", [{"saturation": 0.9}, {"hue": 0.1}])
def test_saturation_and_hue_keep_luma_and_greys(setting):
    """Against the definitions: grey pixels stay, luma stays, and colours do change."""
    image = np.random.default_rng(0).integers(90, 160, (30, 30, 3), dtype=np.uint8)
    image[:5] = image[:5, :, :1]
    luma = np.array([0.299, 0.587, 0.114])
    found, _ = apply(Augment(**setting), image, image[..., 0], None, 2)
    np.testing.assert_allclose(found[:5], image[:5], atol=1)
    np.testing.assert_allclose(found @ luma, image @ luma, atol=1)
    assert np.abs(found.astype(int) - image).max() > 5


def test_blur_is_a_gaussian_of_some_standard_deviation():
    """Every blurred image is OpenCV's for one standard deviation of up to two pixels, its border repeated."""
    image = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    sigmas = np.arange(0.01, 2, 0.002)
    blurs = [
        cv2.GaussianBlur(image.astype(np.float32), (9, 9), sigma, borderType=cv2.BORDER_REPLICATE)
        for sigma in sigmas
    ]
    seen = []
    for seed in range(16):
        found, _ = apply(Augment(blur=2), image, image[..., 0], None, seed)
        if not np.array_equal(found, image):
            errors = [np.abs(found - blur).max() for blur in blurs]
            assert min(errors) < 2  # half a level of rounding, and what lies between two of the deviations
            seen.append(sigmas[np.argmin(errors)])
    assert len(seen) > 3
    assert max(seen) - min(seen) > 0.7


def test_blur_leaves_some_pictures_sharp_and_the_mask_alone():
    image = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    sharp = 0
    for seed in range(20):
        found, label = apply(Augment(blur=3), image, image[..., 0], None, seed)
        np.testing.assert_array_equal(label, image[..., 0])
        sharp += np.array_equal(found, image)
        assert found.std() <= image.std() + 0.1
    assert 3 <= sharp <= 17


@pytest.mark.parametrize(
    ("size", "window"), [((6, 5), (slice(2, 8), slice(3, 8))), ((11, 11), None), ((9, 4), None)]
)
def test_centre(size, window):
    image, label = COORDINATES[:10, :11], ROWS[:10, :11]
    found_image, found_label = (part.numpy() for part in centre(tf.constant(image), tf.constant(label), size))
    assert found_image.shape == (*size, 3)
    assert found_label.shape == size
    if window:
        np.testing.assert_array_equal(found_image, image[window])
        np.testing.assert_array_equal(found_label, label[window])
    if size == (11, 11):
        np.testing.assert_array_equal(found_label[:10], label)
        np.testing.assert_array_equal(found_label[10], 255)
        np.testing.assert_array_equal(found_image[10], np.broadcast_to(MEAN, (11, 3)))


def test_same_seed_same_result_in_and_out_of_a_graph():
    augment = Augment((0.7, 1.4), True, 10, 5, 1.0, 0.2, 0.2, 0.2, 0.05)
    seed = tf.constant([1, 2], tf.int64)
    eager = augment(tf.constant(COORDINATES), tf.constant(ROWS), (32, 32), seed)
    graph = tf.function(lambda image, label: augment(image, label, (32, 32), seed))(COORDINATES, ROWS)
    np.testing.assert_allclose(eager[0].numpy().astype(int), graph[0].numpy().astype(int), atol=1)
    np.testing.assert_array_equal(eager[1], graph[1])
    other = augment(tf.constant(COORDINATES), tf.constant(ROWS), (32, 32), seed + 1)
    assert (other[1].numpy() != eager[1].numpy()).any()


def test_settings_from_json_are_equal_and_hashable():
    augment = Augment(scale=(0.5, 2), mirror=True, hue=0.1)
    again = Augment(**{**asdict(augment), "scale": [0.5, 2]})
    assert again == augment
    assert hash(again) == hash(augment)


@pytest.mark.parametrize(
    "setting",
    [
        {"scale": (0, 1)},
        {"scale": (2, 1)},
        {"scale": (1,)},
        {"scale": 2.0},
        {"hue": 0.6},
        {"rotate": -1},
        {"contrast": 2},
    ],
)
def test_bad_settings(setting):
    with pytest.raises(SettingsError, match=next(iter(setting))):
        Augment(**setting)


def test_angles_spread_evenly_to_both_sides():
    """The angle of the result's rows in the source, by least squares, against the bound that was asked for."""
    angles = []
    for seed in range(30):
        rows, columns, _ = source_of(Augment(rotate=20), (40, 40), seed)
        inside = (rows > 0) & (rows < HEIGHT - 1) & (columns > 0) & (columns < WIDTH - 1)
        y, x = np.nonzero(inside)
        fit = np.linalg.lstsq(np.stack([y, x, np.ones_like(y)], -1), rows[inside], rcond=None)[0]
        angles.append(np.degrees(np.arctan2(fit[1], fit[0])))
    assert np.abs(angles).max() <= 21
    assert min(angles) < -8
    assert max(angles) > 8
