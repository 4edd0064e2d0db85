"""`Dice`: overlap of regions."""

import keras

from kseg.losses.tversky import SymmetricTversky


@keras.saving.register_keras_serializable(package="kseg")
class Dice(SymmetricTversky):
    """1 - 2 TP / (2 TP + FP + FN) of soft regions, the mean over the classes that the labels have.

    Sums, modes, arguments and errors are those of `Tversky` with alpha and beta of 0.5.

    Args:
        smooth, mode, ignore_label, class_weights, from_logits, name: as in `Tversky`.

    Reference:
        Milletari, Navab and Ahmadi, "V-Net", 3DV 2016 (there with squared denominators).

    Example:

    >>> loss = Dice(mode="binary", ignore_label=None)
    >>> float(loss(np.ones((1, 2, 2)), np.full((1, 2, 2, 1), 20.0))) < 1e-3
    True
    """

    factor = 0.5
    usual_name = "dice"
