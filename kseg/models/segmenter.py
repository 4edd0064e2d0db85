"""`Segmenter`: what every segmentation model of kseg is."""

import warnings

import keras
import numpy as np

from kseg.backbones.backbone import precision
from kseg.errors import KsegWarning, SettingsError
from kseg.models.compiling import takes_probabilities


class Segmenter(keras.Model):
    """A functional Keras model from an image to class logits of the image's size.

    Args:
        image: the input tensor (the backbone's), `(batch, height, width, 3)`, RGB 0-255, any size.
        logits: float32 tensor `(batch, height, width, num_classes)`.
        backbone: the `kseg.backbones.Backbone` the graph was built on. The model's other variables are its head.
        num_classes: number of classes.
        **kwargs: Keras's `name` and `trainable`.

    Attributes:
        backbone, num_classes: as above.
        classes: class names, or None; set them (training does) and they are saved with the model.
        palette: an (r, g, b) of 0-255 per class, or None; likewise.
        working_size: (height, width) that `kseg.inference.Predictor` brings pictures to, for a model that was trained
            on pictures of this size alone, or None: pictures as they are. Saved with the model.
    """

    def __init__(self, image, logits, *, backbone, num_classes, **kwargs):
        super().__init__(inputs=image, outputs=logits, **kwargs)
        self.backbone = backbone
        self.num_classes = int(num_classes)
        self._labelling = {"classes": None, "palette": None, "working_size": None}

    @property
    def classes(self):
        names = self._labelling["classes"]
        return None if names is None else tuple(names)

    @classes.setter
    def classes(self, names):
        self._labelling["classes"] = self._one_per_class(names, "classes")

    @property
    def palette(self):
        colours = self._labelling["palette"]
        return None if colours is None else tuple(tuple(int(v) for v in colour) for colour in colours)

    @palette.setter
    def palette(self, colours):
        self._labelling["palette"] = self._one_per_class(colours, "palette")

    @property
    def working_size(self):
        return self._labelling["working_size"]

    @working_size.setter
    def working_size(self, size):
        if size is not None:
            sides = tuple(size) if isinstance(size, (list, tuple)) else ()
            if len(sides) != 2 or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sides):
                raise ValueError(f"`working_size` is (height, width) in pixels or None; got {size!r}")
            size = int(sides[0]), int(sides[1])
        self._labelling["working_size"] = size

    def _one_per_class(self, values, what):
        if values is not None and len(values) != self.num_classes:
            raise ValueError(f"`{what}` needs {self.num_classes} entries, one a class; got {len(values)}")
        return None if values is None else list(values)

    def compile(self, optimizer="rmsprop", loss=None, *, metrics=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; warns of losses and metrics that would take the logits for probabilities."""
        wrong = takes_probabilities([loss, metrics or [], weighted_metrics or []])
        if wrong:
            warnings.warn(
                f"The model gives logits, and {', '.join(wrong)} takes them for probabilities: give "
                "kseg.losses.CrossEntropy(), or a loss with from_logits=True, and kseg.metrics.MeanIoU(num_classes).",
                KsegWarning,
                stacklevel=2,
            )
        super().compile(optimizer, loss, metrics=metrics, weighted_metrics=weighted_metrics, **kwargs)

    def compile_from_config(self, config):
        """Keras's, which leaves a model with a `compile` of its own uncompiled."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """Keras's `fit`, for maps of labels: weights of classes belong to the loss."""
        if kwargs.get("class_weight") is not None:
            raise SettingsError(
                "Keras's `class_weight` is made for one label an image; compile with "
                "kseg.losses.CrossEntropy(class_weights=...), which takes the same dict."
            )
        return super().fit(*args, **kwargs)

    def get_config(self):
        # Not the functional graph: the subclass adds its arguments, and its constructor draws the graph again.
        frozen = {} if self.trainable else {"trainable": False}
        return {
            **frozen,
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "classes": self.classes,
            "palette": self.palette,
            "working_size": self.working_size,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        classes, palette = config.pop("classes", None), config.pop("palette", None)
        size, trainable = config.pop("working_size", None), config.pop("trainable", True)
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        with precision(config.pop("dtype", None)):
            model = cls(**config)
        model.classes, model.palette = classes, palette
        model.working_size = size
        if not trainable:
            model.trainable = False
        return model
