"""What Keras's own losses and metrics would make of logits."""

import keras
import numpy as np
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


@pytest.mark.parametrize(
    ("num_classes", "classes", "logged"),
    [
        pytest.param(2, None, {"iou_class_0", "iou_class_1"}, marks=pytest.mark.full),
        pytest.param(2, ("ground", "car"), {"iou_ground", "iou_car"}, marks=pytest.mark.full),
        (1, ("background", "car"), {"iou_background", "iou_car"}),
    ],
)
def test_without_arguments_the_scores_are_logged_by_class(num_classes, classes, logged):
    backbone = kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=2)
    model = kseg.models.FCN(backbone, num_classes, stride=32)
    model.classes = classes
    model.compile()
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    labels = (images[..., 0] > 127).astype("uint8")
    logs = model.fit(images, labels, verbose=0).history
    assert logs.keys() - {"loss", "mean_iou", "iou"} == logged
    assert np.isfinite([values[-1] for values in logs.values()]).all()
