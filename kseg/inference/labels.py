"""`best_classes`: class ids from probabilities."""

import numpy as np

NO_CLASS = 255


def best_classes(probabilities: np.ndarray, threshold: float = 0.5, multilabel: bool = False) -> np.ndarray:
    """The most probable class of every pixel; of two classes the second where it is above the threshold.

    Args:
        probabilities: `(..., classes)`.
        threshold: another than 0.5 goes with two classes, or with classes that overlap.
        multilabel: classes overlap: the result is a mask a class.

    Returns:
        Class ids, uint8, or uint16 for more than 255 classes; masks `(..., classes)`, uint8 of 0 and 1.
    """
    if multilabel:
        return (probabilities > threshold).astype(np.uint8)
    dtype = np.uint8 if probabilities.shape[-1] <= 255 else np.uint16
    if threshold != 0.5:
        return (probabilities[..., 1] > threshold).astype(dtype)
    return probabilities.argmax(-1).astype(dtype)
