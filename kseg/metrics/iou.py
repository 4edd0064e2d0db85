"""`IoU`: intersection over union of every class, for `model.compile`."""

from typing import Any

import keras

from kseg.metrics.class_scores import ClassScores


@keras.saving.register_keras_serializable(package="kseg")
class IoU(ClassScores):
    """Intersection over union of every class, logged as `iou_road`, and their mean as `iou`.

    Callbacks need no `mode`: `ModelCheckpoint("best.keras", monitor="val_iou_road", save_best_only=True)`.

    Args:
        classes: names, or how many there are; one name is the object of a model with one channel.
        ignore_label: pixels whose true label this is are left out; None leaves nothing out.
        name, dtype: Keras's.
        from_logits: False for a sigmoid's probabilities.
        threshold: of a sigmoid, above which a pixel is of its class.
        mode: "multiclass", or "multilabel": labels `(batch, height, width, classes)` of 0 and 1.

    A class that neither truth nor prediction has is NaN, and no part of the mean (scikit-learn counts it as 0, which
    makes a score depend on classes that were not there). As long as no pixel was counted, such as where all are
    ignored, all are 0, as in `MeanIoU` and in every metric of Keras. All are NaN once a label outside the classes was
    met.

    Raises:
        SettingsError: an argument out of its range.

    Example:

    >>> metric = kseg.metrics.IoU(classes=["ground", "road"])
    >>> metric.update_state(np.array([[[0, 1, 1]]]), np.array([[[0, 1, 0]]]))
    >>> {name: float(value) for name, value in metric.result().items()}
    {'iou': 0.5, 'iou_ground': 0.5, 'iou_road': 0.5}
    """

    usual_name = "iou"

    def result(self) -> Any:
        hit, true, predicted = self.hits()
        return self.named(hit, true + predicted - hit)
