"""`Jaccard`: overlap of regions."""

import keras

from kseg.losses.tversky import SymmetricTversky


@keras.saving.register_keras_serializable(package="kseg")
class Jaccard(SymmetricTversky):
    """1 - TP / (TP + FP + FN) of soft regions, the mean over the classes that the labels have.

    Sums, modes, arguments and errors are those of `Tversky` with alpha and beta of 1.0.

    Args:
        smooth, mode, ignore_label, class_weights, from_logits, name: as in `Tversky`.

    Reference:
        Rahman and Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation", ISVC 2016.

    Example:

    >>> loss = Jaccard(mode="binary", ignore_label=None)
    >>> float(loss(np.ones((1, 2, 2)), np.full((1, 2, 2, 1), 20.0))) < 1e-3
    True
    """

    factor = 1.0
    usual_name = "jaccard"
