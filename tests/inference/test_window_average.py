"""Windows and their average against plain loops."""

import numpy as np
import pytest

from kseg.inference.window_average import WindowAverage, WindowGrid, cover_counts, window_starts


@pytest.mark.parametrize(
    ("length", "window", "stride", "expected"),
    [
        (10, 10, 7, [0]),
        (3, 10, 7, [0]),
        (11, 10, 7, [0, 1]),
        (24, 10, 7, [0, 7, 14]),
        (25, 10, 7, [0, 7, 14, 15]),
        (1, 1, 1, [0]),
    ],
)
def test_window_starts(length, window, stride, expected):
    assert window_starts(length, window, stride) == expected


@pytest.mark.parametrize(("length", "window", "stride"), [(713, 473, 316), (1023, 713, 476), (97, 13, 9)])
def test_window_starts_are_those_of_the_released_test_code(length, window, stride):
    """The loop of semseg's and PSPNet's sliding window, written out."""
    grid = int(np.ceil((length - window) / stride) + 1)
    expected = [min(i * stride + window, length) - window for i in range(grid)]
    assert window_starts(length, window, stride) == expected


def test_windows_cover_every_pixel():
    for length in range(1, 60):
        for window in (1, 7, 16):
            starts = window_starts(length, window, max(window * 2 // 3, 1))
            counts = cover_counts(length, window, starts)
            assert counts.min() >= 1
            assert counts.sum() == len(starts) * min(window, length)


def position_dependent(tiles):
    """Probabilities that tell a pixel's place in its tile, so that wrong places or counts show."""
    _, h, w, _ = tiles.shape
    place = np.arange(h)[:, None] * 1.0 + np.arange(w) * 0.01
    return np.stack([tiles[..., 0] + place, tiles[..., 1] * place], -1).astype(np.float32)


def plain_average(image, window, stride):
    """Every window added into a full-size sum, in shuffled order."""
    height, width = image.shape[:2]
    total, counts = np.zeros((height, width, 2)), np.zeros((height, width, 1))
    places = [
        (y, x)
        for y in window_starts(height, window[0], stride[0])
        for x in window_starts(width, window[1], stride[1])
    ]
    for i in np.random.default_rng(3).permutation(len(places)):
        y, x = places[i]
        tile = image[y : y + window[0], x : x + window[1]]
        total[y : y + window[0], x : x + window[1]] += position_dependent(tile[None])[0]
        counts[y : y + window[0], x : x + window[1]] += 1
    return total / counts


@pytest.mark.parametrize("strip", [1, 5, 64])
@pytest.mark.parametrize("columns", [(0, 37), (10, 30), (36, 37)])
@pytest.mark.parametrize("window", [(8, 8), (13, 37), (29, 6), (29, 37)])
def test_average_is_the_plain_average(strip, columns, window):
    image = np.random.default_rng(1).integers(0, 256, (29, 37, 3), dtype=np.uint8)
    stride = (-(-window[0] * 2 // 3), -(-window[1] * 2 // 3))
    grid = WindowGrid((29, 37), window, stride)
    average = WindowAverage(image, grid, columns, position_dependent, 2, 3, (0, 0, 0), strip)
    found = np.concatenate([average.rows(y, min(y + strip, 29)).copy() for y in range(0, 29, strip)])
    expected = plain_average(image.astype(np.float32), window, stride)[:, slice(*columns)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_average_rows_may_overlap_the_rows_before():
    image = np.random.default_rng(1).integers(0, 256, (29, 20, 3), dtype=np.uint8)
    average = WindowAverage(
        image, WindowGrid((29, 20), (8, 8), (6, 6)), (0, 20), position_dependent, 2, 2, (0, 0, 0), 9
    )
    expected = plain_average(image.astype(np.float32), (8, 8), (6, 6))
    for start, stop in [(0, 7), (6, 15), (13, 20), (19, 28), (27, 29)]:
        np.testing.assert_allclose(average.rows(start, stop), expected[start:stop], rtol=1e-6)


def test_average_batches_and_fills():
    """A picture smaller than the window is filled up at the bottom and the right."""
    seen = []

    def predict(tiles):
        seen.append(tiles.copy())
        return position_dependent(tiles)

    image = np.full((3, 20, 3), 9, np.uint8)
    average = WindowAverage(
        image, WindowGrid((3, 20), (5, 8), (4, 6)), (0, 20), predict, 2, 2, (1.5, 2, 3), 3
    )
    assert average.rows(0, 3).shape == (3, 20, 2)
    assert [len(tiles) for tiles in seen] == [2, 1]
    for tiles in seen:
        np.testing.assert_array_equal(tiles[:, :3], 9)
        np.testing.assert_array_equal(tiles[:, 3:], np.broadcast_to([1.5, 2, 3], tiles[:, 3:].shape))
