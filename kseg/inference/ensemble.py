"""`Ensemble`: several predictors as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kseg.errors import SettingsError
from kseg.inference.checks import check_one_class
from kseg.progress import Progress, within

MODES = ("mean", "product")
_TINY = 1e-30  # where the members rule out every class between them, all classes are alike


class Ensemble:
    """Combines the probabilities of several predictors, as EDeconvNet does those of DeconvNet and FCN-8s.

    Call it with an image, uint8 or float `(height, width, 3)`, RGB 0-255: it returns labels `(height,
    width)`, uint8, or uint16 for more than 255 classes. `probabilities(image)` returns float32 `(height,
    width, classes)`. Both take `progress`, called with (predictors done, predictors in all), and with
    fractions while one works in parts.

    Args:
        predictors: at least two of `Predictor`, `ProposalPredictor`, `Ensemble`, ... for the same classes.
        mode: "mean" of the probabilities (the paper), or their "product" per pixel, divided by its sum over
            the classes. The release multiplies raw scores instead, DeconvNet's with FCN's cut at zero, whose
            ranges differ from model to model; probabilities are what all predictors share.
        crf: called with (image, probabilities) after they are combined, such as `DenseCRF()`.

    Raises:
        SettingsError: fewer than two predictors, another mode, predictors for different numbers of classes or
            with different class names.

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, section 5.2;
        released `generate_EDeconvNet_CRF_results.m`.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> models = [keras.Model(image, keras.layers.Conv2D(2, 1)(image)) for _ in range(2)]
    >>> members = [kseg.inference.Predictor(model) for model in models]
    >>> ensemble = kseg.inference.Ensemble(members, mode="product")
    >>> ensemble(np.zeros((32, 48, 3), "uint8")).shape
    (32, 48)
    """

    def __init__(
        self,
        predictors: Sequence[Any],
        mode: str = "mean",
        crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.predictors, self.mode, self.crf = tuple(predictors), mode, crf
        if mode not in MODES:
            raise SettingsError(f"An ensemble's mode is {' or '.join(MODES)}; got {mode!r}")
        if len(self.predictors) < 2:
            raise SettingsError(f"An ensemble needs at least 2 predictors; got {len(self.predictors)}")
        for predictor in self.predictors:
            check_one_class(getattr(predictor, "info", None), "an ensemble")
        counts = [predictor.num_classes for predictor in self.predictors]
        if len(set(counts)) > 1:
            raise SettingsError(
                f"The predictors of an ensemble share their classes; got models for {counts} classes"
            )
        names = {getattr(predictor.model, "classes", None) for predictor in self.predictors} - {None}
        if len(names) > 1:
            first, second = sorted(names)[:2]
            raise SettingsError(
                f"The predictors of an ensemble share their classes; got {first} and {second}"
            )
        self.num_classes = self.predictors[0].num_classes

    @property
    def model(self) -> keras.Model:
        """The first predictor's model, whose class names and palette stand for all."""
        return self.predictors[0].model

    @property
    def label_dtype(self) -> type:
        return self.predictors[0].label_dtype

    def __call__(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        return self.probabilities(image, progress).argmax(-1).astype(self.label_dtype)

    def probabilities(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Combine the probabilities of all predictors, after which the CRF comes if there is one.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.
            progress: called with (predictors done, predictors in all), and with fractions.

        Returns:
            float32 `(height, width, classes)`.
        """
        total = None
        for count, predictor in enumerate(self.predictors, 1):
            part = within(progress, count - 1, len(self.predictors))
            more = predictor.probabilities(image, part).astype(np.float64)
            if total is None:
                total = more
            elif self.mode == "mean":
                total = total + more
            else:
                total = total * more
            if progress is not None:
                progress(count, len(self.predictors))
        if self.mode == "product":
            total += _TINY
        combined = (total / total.sum(-1, keepdims=True)).astype(np.float32)
        return combined if self.crf is None else np.asarray(self.crf(image, combined), np.float32)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Predict images of one size.

        Args:
            images: uint8 or float `(batch, height, width, 3)`, RGB 0-255.

        Returns:
            Labels `(batch, height, width)`, uint8, or uint16 for more than 255 classes.
        """
        return np.stack([self(image) for image in images])
