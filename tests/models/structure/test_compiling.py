"""What Keras's own losses and metrics would make of logits."""

import keras
import pytest

import kseg
from kseg.models.structure.compiling import takes_probabilities

LOSSES = keras.losses


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        ("sparse_categorical_crossentropy", ["sparse_categorical_crossentropy"]),
        ("SparseCategoricalCrossentropy", ["sparse_categorical_crossentropy"]),
        ("bce", ["binary_crossentropy"]),
        (LOSSES.sparse_categorical_crossentropy, ["sparse_categorical_crossentropy"]),
        (LOSSES.SparseCategoricalCrossentropy(ignore_class=255), ["sparse_categorical_crossentropy"]),
        ({"logits": LOSSES.CategoricalFocalCrossentropy()}, ["categorical_focal_crossentropy"]),
        ([LOSSES.Dice()], ["dice"]),
        ([keras.metrics.SparseCategoricalCrossentropy()], ["sparse_categorical_crossentropy"]),
        ([[keras.metrics.MeanIoU(3)]], ["MeanIoU(sparse_y_pred=True)"]),
        (LOSSES.SparseCategoricalCrossentropy(from_logits=True), []),
        (keras.metrics.SparseCategoricalCrossentropy(from_logits=True), []),
        (keras.metrics.MeanIoU(3, sparse_y_pred=False), []),
        (["accuracy", kseg.metrics.MeanIoU(3)], []),
        (kseg.losses.CrossEntropy(), []),
        (lambda labels, logits: 0.0, []),
        ("mse", []),
        ("no such loss", []),
        (None, []),
    ],
)
def test_losses_of_probabilities_are_found(loss, names):
    assert takes_probabilities(loss) == names
