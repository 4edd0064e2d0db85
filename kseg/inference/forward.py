"""`Forward`: a Keras model, resizing, softmax and mirroring as one compiled function for images of any size."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kseg.errors import KsegWarning, ModelError
from kseg.inference.folding import folded_call
from kseg.inference.model_info import ModelInfo, inspect_model
from kseg.ops.labels import class_ids
from kseg.ops.resize import resize, spatial_shape

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

MEAN_COLOUR = (123.68, 116.779, 103.939)  # ImageNet's, for models without a Normalize layer


class Forward(keras.Model):
    """A model, resizing, softmax and the mirrored image as one graph, so that only the result leaves the device.

    `run` (NumPy in, NumPy out) traces it once, with free sizes, for images of every size. A model that cannot be
    traced so (Keras's own bilinear `UpSampling2D` cannot) runs layer by layer instead, which is slower; a
    `KsegWarning` says so.

    Args:
        model: see `Predictor`.
        flip: average the probabilities with those of the mirrored image.
        labels: give the class ids `(B, H, W)` of the highest value instead of probabilities.
        info: what the model takes and gives; None: `inspect_model(model)`.

    Input shape: `(B, H, W, 3)`, RGB 0-255.

    Output shape: float32 probabilities `(B, H, W, classes)`, or int32 labels `(B, H, W)`. A model whose output is
    probabilities already gives them as they are.
    """

    def __init__(
        self, model: keras.Model, flip: bool = False, labels: bool = False, info: ModelInfo | None = None
    ):
        super().__init__(name="predictor", dtype="float32")
        self.model, self.flip, self.labels = model, flip, labels
        self.info = inspect_model(model) if info is None else info
        self._function, self._batch = None, self.info.batch

    def __reduce__(self) -> tuple[Any, ...]:
        """A predictor is sent to other processes: its parts are, and its graph is traced there again."""
        return Forward, (self.model, self.flip, self.labels, self.info)

    def run(self, images: np.ndarray) -> np.ndarray:
        """The output for float32 images (B, H, W, 3), computed by the compiled graph.

        A model of a fixed batch size gets the images in batches of this size, the last filled up with black.

        Raises:
            ModelError: the model cannot take images of this size.
        """
        if self._batch is None or len(images) == self._batch:
            return self._one_batch(images)
        missing = -len(images) % self._batch
        filled = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        parts = [self._one_batch(filled[at : at + self._batch]) for at in range(0, len(filled), self._batch)]
        return np.concatenate(parts)[: len(images)]

    def _one_batch(self, images: np.ndarray) -> np.ndarray:
        if keras.backend.backend() != "tensorflow":
            return self.predict_on_batch(images)
        if self._function is None:
            free = tf.TensorSpec((self._batch, *(self.info.size or (None, None)), self.info.channels), "float32")
            try:
                # Without XLA, which would compile again for every size.
                function = tf.function(
                    self.__call__, input_signature=[free], autograph=False, jit_compile=False
                )
                function.get_concrete_function()
            except (
                Exception
            ) as error:  # what layers raise about unknown sizes; a real fault comes up again below
                warnings.warn(
                    f"The model {self.model.name!r} cannot become one graph for all image sizes and runs layer by "
                    f"layer, which is slower. What it said: {' '.join(str(error).split())[:200]}",
                    KsegWarning,
                    stacklevel=4,
                )
                function = self.__call__
            self._function = function
        try:
            # Through the buffer: .numpy() would copy what may be hundreds of megabytes.
            return np.asarray(memoryview(self._function(tf.constant(images))))
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            height, width = images.shape[1:3]
            raise ModelError(
                f"The model {self.model.name!r} cannot take {height}x{width} pixels. If it needs multiples "
                "of 32 or so, predict in padded windows of such a size: Predictor(model, window=(512, 512), pad=True). "
                f"What it said: {str(error).splitlines()[0][:200]}"
            ) from error

    def call(self, image):
        scores = self._scores(image)
        if self.labels and not self.flip:  # the softmax keeps the order
            return class_ids(scores)
        probabilities = self.info.probabilities(scores)
        if self.flip:
            mirrored = self.info.probabilities(self._scores(ops.flip(image, axis=2)))
            probabilities = (probabilities + ops.flip(mirrored, axis=2)) / 2
        return class_ids(probabilities) if self.labels else probabilities

    def _scores(self, image):
        scores = self.info.scores(folded_call(self.model, image))
        wanted, had = tuple(image.shape[1:3]), tuple(scores.shape[1:3])
        if wanted == had and None not in wanted:
            return scores
        return resize(scores, spatial_shape(image))  # where the sizes agree at run time, it only copies


def limit_threads(threads: int) -> None:
    """Limit the threads of one TensorFlow operation, as long as it has not begun to work; else a KsegWarning."""
    if keras.backend.backend() != "tensorflow":
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            warnings.warn(
                f"threads={threads}: TensorFlow has begun to work, and keeps the threads it has",
                KsegWarning,
                stacklevel=4,
            )


def output_stride(model: keras.Model) -> int:
    """Pixels of the image per value of the coarsest map, as far as the model tells; 1 where it does not."""
    backbone = getattr(model, "backbone", None)
    return int(getattr(backbone, "output_stride", 1) or 1)


def mean_colour(model: keras.Model, channels: int = 3) -> tuple[float, ...]:
    """The colour that the model's first layer turns into zero, RGB 0-255; ImageNet's mean where there is
    none. Of another number of channels it is 0 where there is none."""
    for layer in getattr(model, "layers", ()):
        mean = getattr(layer, "mean", None)
        if isinstance(mean, tuple) and len(mean) == channels:
            return tuple(float(value) for value in mean)
    return MEAN_COLOUR if channels == 3 else (0.0,) * channels
