"""Resizing a part against resizing the whole, OpenCV and TensorFlow."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from kseg.inference.partial_resize import resized_part, source_span


@pytest.mark.parametrize(("height", "width"), [(31, 47), (5, 200), (64, 9), (1, 1), (17, 23)])
def test_resizing_by_parts_is_resizing_the_whole(height, width):
    x = np.random.default_rng(0).random((17, 23, 3), np.float32) * 255
    whole = resized_part(x, (0, 0), (17, 23), (height, width), (0, height), (0, width))
    np.testing.assert_allclose(whole, cv2.resize(x, (width, height)).reshape(whole.shape), atol=2e-3)
    np.testing.assert_allclose(whole, tf.image.resize(x[None], (height, width))[0], atol=2e-3)
    rows, columns = (height // 3, height // 3 + (height + 1) // 2), (width // 2, width)
    top, bottom = source_span(17, height, rows)
    left, right = source_span(23, width, columns)
    part = resized_part(x[top:bottom, left:right], (top, left), (17, 23), (height, width), rows, columns)
    np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])
