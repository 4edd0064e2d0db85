"""What of a recipe reaches loss, optimizer and schedule."""

import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.training import SGD, AdamW, Recipe
from kseg.training.compilation import backbone_of, class_weights, loss_of, optimizer_of


def test_loss_and_optimizer(network, train):
    recipe = Recipe(
        optimizer="sgd",
        momentum=0.7,
        weight_decay=0.01,
        bias_multiplier=2.0,
        ohem_fraction=0.5,
        reduction="sum",
    )
    model, loss = network(), loss_of(recipe, train, (1.0, 2.0, 3.0))
    optimizer = optimizer_of(model, model.layers, recipe, 10)
    assert isinstance(optimizer, SGD)
    assert (optimizer.l2, optimizer.momentum, optimizer.bias_multiplier) == (0.01, 0.7, 2)
    assert loss.class_weights == (1.0, 2.0, 3.0)
    assert (loss.ohem_fraction, loss.reduction, loss.ignore_label) == (0.5, "sum", 255)
    assert isinstance(optimizer_of(model, model.layers, Recipe(), 10), AdamW)


def test_class_weights_are_counted_where_asked_for(train):
    assert class_weights(Recipe(), train) is None
    assert class_weights(Recipe(class_weights=(1, 2, 3)), train) == (1.0, 2.0, 3.0)
    assert class_weights(Recipe(class_weights={"red": 2, "2": 0.5}), train) == (1.0, 2.0, 0.5)
    counts = np.bincount(
        np.concatenate([train.load(k)[1].ravel() for k in range(len(train))]), minlength=256
    )[:3]
    assert np.median(class_weights(Recipe(class_weights="median_frequency"), train)) == pytest.approx(
        1, abs=0.2
    )
    assert np.argmax(class_weights(Recipe(class_weights="median_frequency"), train)) == np.argmin(counts)


def test_no_backbone(network):
    with pytest.raises(SettingsError, match="backbone"):
        backbone_of(network())
