import numpy as np

from kseg.inference.labels import best_classes


def test_the_most_probable_class_or_the_second_of_two_above_a_threshold():
    probabilities = np.random.default_rng(0).dirichlet((1, 1), (5, 6)).astype(np.float32)
    np.testing.assert_array_equal(best_classes(probabilities), probabilities.argmax(-1))
    for threshold in (0.2, 0.8):
        expected = [[int(second > threshold) for _, second in row] for row in probabilities]
        np.testing.assert_array_equal(best_classes(probabilities, threshold), expected)
    assert best_classes(np.zeros((1, 1, 255))).dtype == np.uint8
    assert best_classes(np.zeros((1, 1, 256))).dtype == np.uint16


def test_a_mask_a_class_where_they_overlap():
    probabilities = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    found = best_classes(probabilities, 0.7, multilabel=True)
    np.testing.assert_array_equal(found, (probabilities > 0.7).astype(np.uint8))
