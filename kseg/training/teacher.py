"""`Teacher`: another model whose probabilities a model learns, beside the labels or where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kseg import checks
from kseg.data.masks import Kind
from kseg.errors import KsegWarning, SettingsError
from kseg.io.bands import BYTES
from kseg.losses import MapLoss
from kseg.ops.replicas import replicas_in_sync
from kseg.prediction import predictor
from kseg.training.objective import meeting

RGB = Kind(3, BYTES, multilabel=False)
MOST_LABELS = 256  # of a teacher that gives class ids and does not say how many classes it has


class Teacher:
    """A trained model that another learns from ("knowledge distillation"), for `kseg.training.fit(teacher=...)`.

    The loss of a step becomes `(1 - weight) * loss + weight * KL(teacher || model)`. The second part is the mean over
    all pixels of the batch, of those without a label too, so that images without masks take part (see
    `kseg.data.unlabelled`). The teacher sees the images as they were cut and changed for the training, and is never
    trained itself.

    Args:
        model: a Keras model, the path of a .keras, .tflite or .onnx file, the name of a preset, or a predictor
            (`kseg.predictor(...)`: with several scales or as an ensemble it teaches better than alone).
        weight: the teacher's part of the loss, from 0 to 1; 1 learns from the teacher only.
        classes: which of the teacher's classes, by name or number, is which of the model's:
            `{"person": "person"}`, `{"vehicle": ["car", 14]}`. All others are the model's first class. None: the
            classes of the same names, or, where the teacher has no names, all in their order. A `KsegWarning` tells
            which classes of the data it leaves to the labels alone.

    Raises:
        SettingsError: a weight outside 0 to 1.
        ModelError: no such model.

    Reference:
        Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, section 2, at temperature 1, on
        every pixel.

    Example:
        ```python
        teacher = kseg.training.Teacher("people", weight=0.5)
        train = train + kseg.data.unlabelled("more_photos", like=train)
        kseg.training.fit(model, recipe, train, val, "runs/student", teacher=teacher)
        ```
    """

    def __init__(
        self,
        model: Any,
        weight: float = 0.5,
        classes: Mapping[str, str | int | Sequence[str | int]] | None = None,
    ) -> None:
        self.weight = checks.fraction(weight, "weight")
        self.classes = None if classes is None else dict(classes)
        self.name = (
            str(model) if isinstance(model, str | Path) else getattr(model, "name", type(model).__name__)
        )
        self.predictor = model if hasattr(model, "probabilities") else predictor(model)
        self._range = BYTES
        self._of_classes: np.ndarray | None = None

    def fit_to(self, classes: Sequence[str], kind: Kind = RGB) -> None:
        """Match the teacher's classes to a data set's.

        Args:
            classes: class names of the data set.
            kind: what its images and masks are; the default is RGB and one class a pixel.

        Raises:
            SettingsError: it is not clear which class is which, classes overlap, or the teacher takes other images.
        """
        info = getattr(self.predictor, "info", None)
        if kind.multilabel or getattr(info, "multilabel", False):
            whose = "the data's" if kind.multilabel else "its"
            raise SettingsError(
                f"The teacher {self.name}: {whose} classes overlap, and a teacher gives every pixel one class."
            )
        taken = getattr(info, "channels", 3), tuple(getattr(info, "value_range", BYTES))
        if taken != (kind.channels, tuple(kind.value_range)):
            own, data = ("{0} channels of {1[0]:g} to {1[1]:g}".format(*one) for one in (taken, kind))
            raise SettingsError(f"The teacher {self.name} takes images with {own}; those of the data have {data}.")
        self._range = kind.value_range
        own, classes = getattr(getattr(self.predictor, "model", None), "classes", None), list(classes)
        if self.classes is not None:
            pairs = self._as_given(own, classes)
            self._warn_of_untaught([name for number, name in enumerate(classes) if number not in pairs])
        elif own is None:
            if self._count() != len(classes):
                raise SettingsError(
                    f"The teacher {self.name} has {self._count()} classes without names, the data {len(classes)} "
                    f"({', '.join(classes)}): say which is which with classes (--teacher-classes person=15)."
                )
            pairs = range(len(classes))
        else:
            missing = [name for name in classes if name not in own]
            others = [name for name in own if name not in classes]
            if missing or (others and classes[0] != "background"):
                raise SettingsError(
                    f"The teacher {self.name} knows {', '.join(own)}; the data's classes are {', '.join(classes)}: "
                    f"say which is which with classes (--teacher-classes {(missing or classes)[-1]}=NAME, one of "
                    "the teacher's)."
                )
            pairs = [classes.index(name) if name in classes else 0 for name in own]
        self._of_classes = np.eye(len(classes), dtype="float32")[list(pairs)]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Predict images with the teacher, in the classes of `fit_to`.

        Args:
            images: `(batch, height, width, channels)`, RGB 0-255 or what `fit_to` was told.

        Returns:
            float32 `(batch, height, width, classes)`.
        """
        found = []
        for image in np.clip(images.astype("float32"), *self._range):
            if getattr(self.predictor, "output", None) == "labels":
                found.append(self._of_classes[self.predictor(image)])
            else:
                own = self.predictor.probabilities(image)
                found.append((own @ self._of_classes).astype("float32"))
        return np.stack(found)

    def joined(self, loss: Any, model: keras.Model, map_loss: MapLoss, targets: Any, outputs: Any) -> Any:
        """Add the teacher's part to a step's loss.

        Args:
            loss: the loss of the labels, a scalar.
            model: the model that is trained.
            map_loss: the loss that `loss` was computed with.
            targets: `probabilities` of the batch of images.
            outputs: the training model's outputs for them.

        Returns:
            The joint loss, a scalar.
        """
        targets, scores = meeting(model, targets, outputs)
        scores = ops.cast(scores, "float32")
        if scores.shape[-1] == 1:  # of the second class: its logit beside a background of 0, or its probability
            first = ops.zeros_like(scores) if map_loss.from_logits else 1 - scores
            scores = ops.concatenate([first, scores], -1)
        own = ops.log_softmax(scores, -1) if map_loss.from_logits else ops.log(ops.maximum(scores, 1e-7))
        targets = ops.clip(targets, 1e-7, 1.0)
        divergence = ops.mean(ops.sum(targets * (ops.log(targets) - own), -1)) / replicas_in_sync()
        return (1 - self.weight) * loss + self.weight * divergence

    def describe(self) -> dict[str, Any]:
        """Describe the teacher for recipe.json.

        Returns:
            A dict of plain values.
        """
        return {"model": self.name, "weight": self.weight, "classes": self.classes}

    def _count(self) -> int:
        if getattr(self.predictor, "output", None) == "labels":
            return MOST_LABELS
        return self.predictor.num_classes

    def _as_given(self, own: tuple[str, ...] | None, classes: list[str]) -> list[int]:
        """The data's class of every class of the teacher, by `self.classes`."""
        pairs: list[int | None] = [None] * (len(own) if own else self._count())
        for name, theirs in self.classes.items():
            if name not in classes:
                raise SettingsError(
                    f"The teacher's classes name {name!r}; the data has {', '.join(classes)}."
                )
            for one in [theirs] if isinstance(theirs, str | int) else theirs:
                try:
                    number = own.index(one) if own and one in own else int(one)
                except ValueError:
                    known = f"it has {', '.join(own)}" if own else "its classes have no names: give numbers"
                    raise SettingsError(f"The teacher {self.name} has no class {one!r}; {known}.") from None
                if not 0 <= number < len(pairs):
                    raise SettingsError(
                        f"The teacher {self.name} has {len(pairs)} classes; there is no {number}."
                    )
                if pairs[number] not in (None, classes.index(name)):
                    raise SettingsError(
                        f"The teacher {self.name}: its class {one!r} is given to both {classes[pairs[number]]} and "
                        f"{name}; a class of the teacher can be one of the data's only."
                    )
                pairs[number] = classes.index(name)
        return [pair or 0 for pair in pairs]

    def _warn_of_untaught(self, names: list[str]) -> None:
        """Tell of the data's classes that no class of the teacher is, if it teaches at all."""
        if not names or not self.weight:
            return
        several = len(names) > 1
        warnings.warn(
            f"The teacher {self.name} has no class for the data's {'classes' if several else 'class'} "
            f"{', '.join(names)}: it takes {'their' if several else 'its'} pixels for other classes, and the model "
            f"learns that with {self.weight:g} of the loss. If the teacher knows {names[0]}, name it in classes "
            f"(--teacher-classes {names[0]}=NAME too); else give the teacher less weight (--teacher-weight 0.1).",
            KsegWarning,
            stacklevel=3,
        )
