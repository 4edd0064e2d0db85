"""DenseCRF against brute force, against itself under symmetries, and against pydensecrf."""

import numpy as np
import pytest

from kseg.inference.crf.dense_crf import ROW_SUM, DenseCRF
from kseg.inference.crf.permutohedral import PermutohedralLattice


def features(image, xy_std, rgb_std=None):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    columns = [x.ravel() / xy_std, y.ravel() / xy_std]
    if rgb_std is not None:
        columns += list(image.reshape(-1, 3).T.astype(float) / rgb_std)
    return np.stack(columns, axis=1)


def lattice_matrix(points):
    return PermutohedralLattice(points).filter(np.eye(len(points), dtype=np.float32)).astype(float)


def exact_matrix(points):
    return np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(axis=-1))


def brute_force(image, probabilities, matrix, crf, penalties):
    """Algorithm 1 of Krähenbühl and Koltun 2011 with symmetric normalisation, in float64."""
    classes = probabilities.shape[-1]
    unary = -np.log(np.maximum(probabilities.reshape(-1, classes).astype(float), crf.floor))
    q = np.exp(-unary) / np.exp(-unary).sum(axis=1, keepdims=True)
    kernel = 0
    for weight, points in (
        (crf.spatial_weight, features(image, crf.spatial_std)),
        (crf.bilateral_weight, features(image, crf.bilateral_xy_std, crf.bilateral_rgb_std)),
    ):
        raw = matrix(points)
        norm = 1 / np.sqrt(raw.sum(axis=1))
        kernel = kernel + weight * norm[:, None] * raw * norm
    for _ in range(crf.iterations):
        q = np.exp(-unary - kernel @ q @ penalties)
        q /= q.sum(axis=1, keepdims=True)
    return q.reshape(probabilities.shape)


def test_potts_equals_brute_force_on_the_lattice(two_colours):
    image, probabilities = two_colours()
    crf = DenseCRF(2, 1.5, 6, 12, 2.5, iterations=5)
    expected = brute_force(image, probabilities, lattice_matrix, crf, 1 - np.eye(3))
    refined = crf(image, probabilities)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, expected, atol=5e-5)


def test_compatibility_equals_brute_force_on_the_lattice(two_colours):
    image, probabilities = two_colours(seed=1)
    penalties = np.array([[0, 1, 3], [1, 0, 0.5], [3, 0.5, 0]])
    crf = DenseCRF(2, 0.5, 6, 12, 0.7, iterations=4, compatibility=penalties)
    expected = brute_force(image, probabilities, lattice_matrix, crf, penalties)
    np.testing.assert_allclose(crf(image, probabilities), expected, atol=5e-5)


def test_close_to_the_exact_kernels(two_colours):
    """The filter's own error: labels as with the O(n^2) sum but for a few pixels on the edge."""
    image, probabilities = two_colours(20, 24, seed=2)
    crf = DenseCRF(2, 1, 6, 12, 1, iterations=5)
    expected = brute_force(image, probabilities, exact_matrix, crf, 1 - np.eye(3))
    refined = crf(image, probabilities)
    assert np.abs(refined - expected).mean() < 0.02
    assert (refined.argmax(-1) == expected.argmax(-1)).mean() > 0.98


def test_labels_follow_the_edge(two_colours):
    image, probabilities = two_colours(30, 32, seed=3)
    truth = np.broadcast_to(np.arange(32) >= 16, (30, 32)).astype(int)
    assert (probabilities.argmax(-1) == truth).mean() < 0.95
    labels = DenseCRF(2, 1, 10, 10, 4)(image, probabilities).argmax(-1)
    np.testing.assert_array_equal(labels, truth)


def test_potts_is_one_minus_identity(two_colours):
    image, probabilities = two_colours()
    full = DenseCRF(compatibility=1 - np.eye(3))(image, probabilities)
    np.testing.assert_allclose(DenseCRF()(image, probabilities), full, atol=1e-5)


def with_rare_classes(two_colours, height=20, width=24, seed=0):
    """Three classes that are there, and nine that are nowhere above 1e-4."""
    image, probabilities = two_colours(height, width, seed=seed)
    many = np.random.default_rng(seed).uniform(0, 1e-4, (height, width, 12)).astype(np.float32)
    many[..., [4, 7, 9]] = probabilities * (1 - np.delete(many, [4, 7, 9], axis=-1).sum(-1, keepdims=True))
    return image, many


def test_rare_classes_are_left_out_of_the_filter_without_loss(two_colours):
    image, probabilities = with_rare_classes(two_colours)
    settings = {"spatial_std": 2, "bilateral_xy_std": 6, "bilateral_rgb_std": 12}
    crf = DenseCRF(**settings)
    np.testing.assert_array_equal(crf._active_classes(probabilities.reshape(-1, 12)), [4, 7, 9])
    full = DenseCRF(**settings, compatibility=1 - np.eye(12))  # filters all twelve
    assert full._active_classes(probabilities.reshape(-1, 12)) is None
    ours, expected = crf(image, probabilities), full(image, probabilities)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_array_equal(ours.argmax(-1), expected.argmax(-1))


def test_a_class_that_is_strong_in_one_pixel_is_active_classes(two_colours):
    _, probabilities = with_rare_classes(two_colours)
    probabilities[3, 5] = np.eye(12)[2]
    assert 2 in DenseCRF()._active_classes(probabilities.reshape(-1, 12))


def test_rows_of_the_kernels_sum_to_less_than_assumed(two_colours):
    """The bound behind leaving classes out, on a picture of few colours and on one of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    for image in (two_colours(20, 24)[0], noise):
        for points in (features(image, 3), features(image, 49, 5), features(image, 5, 40)):
            raw = lattice_matrix(points)
            norm = 1 / np.sqrt(raw.sum(axis=1))
            assert (norm[:, None] * raw * norm).sum(axis=1).max() < ROW_SUM / 2


def test_classes_may_be_reordered(two_colours):
    image, probabilities = two_colours(classes=5)
    order = [3, 0, 4, 1, 2]
    refined = DenseCRF()(image, probabilities)
    np.testing.assert_allclose(DenseCRF()(image, probabilities[..., order]), refined[..., order], atol=1e-6)


def test_heavy_weights_stay_finite(two_colours):
    image, probabilities = two_colours()
    refined = DenseCRF(spatial_weight=300, bilateral_weight=300)(image, probabilities)
    np.testing.assert_allclose(refined.sum(axis=-1), 1, atol=1e-5)


MORE_SIZES = [pytest.param(size, marks=pytest.mark.full) for size in ((1, 9), (7, 1))]


@pytest.mark.parametrize("size", [(1, 1), *MORE_SIZES])
def test_smallest_pictures(size):
    image, probabilities = np.full((*size, 3), 90, np.uint8), np.full((*size, 2), 0.5, np.float32)
    np.testing.assert_allclose(DenseCRF()(image, probabilities), 0.5, atol=1e-6)


@pytest.mark.full
def test_the_smallest_floor_stays_finite(two_colours):
    image, probabilities = two_colours()
    probabilities = np.where(probabilities == probabilities.max(-1, keepdims=True), 1, 0).astype(np.float32)
    refined = DenseCRF(floor=1e-45, iterations=2)(image, probabilities)
    np.testing.assert_allclose(refined.sum(axis=-1), 1, atol=1e-5)


def test_single_class(two_colours):
    image, _ = two_colours()
    refined = DenseCRF()(image, np.ones((*image.shape[:2], 1), np.float32))
    np.testing.assert_array_equal(refined, 1)


def test_no_iterations_give_the_probabilities(two_colours):
    image, probabilities = two_colours()
    np.testing.assert_allclose(DenseCRF(iterations=0)(image, probabilities), probabilities, atol=1e-4)


@pytest.mark.parametrize("weights", [(0, 4), (3, 0), pytest.param((0, 0), marks=pytest.mark.full)])
def test_weight_zero_leaves_a_kernel_out(weights, two_colours):
    image, probabilities = two_colours()
    crf = DenseCRF(2, weights[0], 6, 12, weights[1], iterations=3)
    expected = brute_force(image, probabilities, lattice_matrix, crf, 1 - np.eye(3))
    np.testing.assert_allclose(crf(image, probabilities), expected, atol=5e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_types_and_layouts(dtype, two_colours):
    image, probabilities = two_colours()
    expected = DenseCRF()(image, probabilities)
    turned = probabilities.transpose(2, 0, 1).astype(dtype).transpose(1, 2, 0)
    np.testing.assert_allclose(DenseCRF()(image.astype(np.float32), turned), expected, atol=2e-2)


def test_tiles_with_room_for_the_margin_equal_the_whole(two_colours):
    image, probabilities = two_colours(20, 23)
    settings = {"spatial_std": 3, "bilateral_xy_std": 10}
    whole = DenseCRF(**settings)(image, probabilities)
    tiled = DenseCRF(**settings, tile=12)(image, probabilities)  # the margin of 20 reaches the borders
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


@pytest.mark.full
def test_tiles_with_a_small_margin_come_close(two_colours):
    image, probabilities = two_colours(16, 48)
    settings = {"spatial_std": 1, "bilateral_xy_std": 3, "bilateral_rgb_std": 12}
    whole = DenseCRF(**settings)(image, probabilities)
    tiled = DenseCRF(**settings, tile=16)(image, probabilities)
    assert (tiled.argmax(-1) == whole.argmax(-1)).mean() > 0.97


def reference(image, probabilities, crf):
    """The same CRF by pydensecrf."""
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    from pydensecrf.utils import unary_from_softmax

    height, width, classes = probabilities.shape
    penalties = crf.compatibility
    spatial = crf.spatial_weight if penalties is None else np.float32(crf.spatial_weight * penalties)
    bilateral = crf.bilateral_weight if penalties is None else np.float32(crf.bilateral_weight * penalties)
    theirs = densecrf.DenseCRF2D(width, height, classes)
    theirs.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(probabilities.transpose(2, 0, 1))))
    theirs.addPairwiseGaussian(sxy=crf.spatial_std, compat=spatial)
    theirs.addPairwiseBilateral(
        sxy=crf.bilateral_xy_std,
        srgb=crf.bilateral_rgb_std,
        rgbim=np.ascontiguousarray(image),
        compat=bilateral,
    )
    return np.array(theirs.inference(crf.iterations)).reshape(classes, height, width).transpose(1, 2, 0)


def soft_map(rng, size, classes, alpha):
    import cv2

    height, width = size
    coarse = rng.gamma(alpha, size=(height // 24 + 2, width // 24 + 2, classes)).astype(np.float32)
    bands = [cv2.resize(coarse[..., c], (width, height)) for c in range(classes)]
    probabilities = np.stack(bands, axis=-1) + 1e-3
    return probabilities / probabilities.sum(axis=-1, keepdims=True)


@pytest.mark.parity
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("number", "classes", "scale", "compatibility"),
    [(0, 2, 1, False), (5, 21, 1, False), (9, 21, 0.71, False), (17, 150, 0.5, False), (30, 7, 0.6, True)],
)
def test_equals_pydensecrf_on_real_pictures(real_data, number, classes, scale, compatibility):
    pytest.importorskip("pydensecrf.densecrf")
    import cv2

    path = sorted((real_data / "voc_people/VOCdevkit/VOC2012/JPEGImages").glob("*.jpg"))[number]
    image = cv2.resize(
        cv2.imread(str(path))[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    rng = np.random.default_rng(number)
    penalties = None
    if compatibility:
        penalties = rng.random((classes, classes))
        penalties = np.float32(penalties + penalties.T) / 2 * (1 - np.eye(classes, dtype=np.float32))
    probabilities = soft_map(rng, image.shape[:2], classes, 0.3)
    crf = DenseCRF(compatibility=penalties)
    refined, expected = crf(image, probabilities), reference(image, probabilities, crf)
    assert (refined.argmax(-1) == expected.argmax(-1)).mean() >= 0.9999
    assert np.abs(refined - expected).max() <= 1e-4
