"""Validation against Keras's own evaluation with the same loss and metric."""

import numpy as np
import pytest

from kseg.data import Dataset, pipeline
from kseg.errors import KsegWarning
from kseg.losses import CrossEntropy
from kseg.metrics import MeanIoU
from kseg.training import SGD
from kseg.training.validation import Validation


def test_scores_are_kerass(network, val):
    model = network()
    model.compile(SGD(0.1), CrossEntropy(class_weights=(1, 2, 3)), metrics=[MeanIoU(3)])
    expected = model.evaluate(pipeline(val, batch_size=1), return_dict=True, verbose=0)
    # Hard examples and sampling are of the training only.
    loss = CrossEntropy(class_weights=(1, 2, 3), ohem_fraction=0.1, sampling=0.5)
    found = Validation(model, val, loss)()
    assert list(found) == ["val_loss", "val_mean_iou"]
    np.testing.assert_allclose(found["val_loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["val_mean_iou"], expected["mean_iou"], rtol=1e-6)


def test_masks_of_a_single_class_are_said(network, val):
    class Red:
        def __len__(self):
            return 2

        def name_of(self, index):
            return str(index)

        def read(self, index):
            return val.samples.images[index], val.samples.labels[index] * 0 + 1

    validation = Validation(
        network(), Dataset("reds", "val", val.classes, val.palette, Red()), CrossEntropy()
    )
    with pytest.warns(KsegWarning, match="every mask of the split val holds the class 'red' only"):
        validation()
