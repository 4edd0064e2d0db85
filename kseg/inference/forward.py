"""What the predictor asks of a Keras model: its sizes and classes, and one compiled function for any
picture."""

from __future__ import annotations

import warnings

import keras
import numpy as np
from keras import ops

from kseg.errors import KsegWarning, ModelError
from kseg.ops.resize import resize, spatial_shape

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

MEAN_COLOUR = (123.68, 116.779, 103.939)  # ImageNet's, for models without a Normalize layer
PROBE = (64, 64)  # size of the imagined picture that a model without a graph is asked about


class Forward(keras.Model):
    """Logits, resizing, softmax and the mirrored picture as one graph, so that only the result leaves the
    device.

    ``run`` (NumPy in, NumPy out) traces it once, with free sizes, for pictures of every size. A model that
    cannot be traced so (Keras's own bilinear ``UpSampling2D`` cannot) runs layer by layer instead.

    Args:
        model: see ``Predictor``.
        flip: average the probabilities with those of the mirrored picture.
        labels: give the class ids (B, H, W) of the highest value instead of probabilities.

    Input: (B, H, W, 3), RGB 0-255. Output: float32 probabilities (B, H, W, classes), or int32 labels.
    """

    def __init__(self, model: keras.Model, flip: bool = False, labels: bool = False):
        super().__init__(name="predictor", dtype="float32")
        self.model, self.flip, self.labels = model, flip, labels
        self._function, self._batch = None, _one_input(model)[0]

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
            self._function = self._traced()
        try:
            # Through the buffer: .numpy() would copy what may be hundreds of megabytes.
            return np.asarray(memoryview(self._function(tf.constant(images))))
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            height, width = images.shape[1:3]
            raise ModelError(
                f"The model {self.model.name!r} cannot take {height}x{width} pixels. If it needs multiples "
                "of 32 or so, "
                "predict in padded windows of such a size: Predictor(model, window=(512, 512), pad=True). "
                f"What it said: {str(error).splitlines()[0][:200]}"
            ) from error

    def _traced(self):
        # Without XLA, which would compile anew for every size.
        batch, size, _ = signature(self.model)
        free = tf.TensorSpec((batch, *(size or (None, None)), 3), "float32")
        try:
            function = tf.function(self.__call__, input_signature=[free], autograph=False, jit_compile=False)
            function.get_concrete_function()
        except (
            Exception
        ):  # whatever the model's layers raise about unknown sizes; a real fault comes up again below
            return self.__call__
        return function

    def call(self, image):
        if self.labels and not self.flip:  # the softmax keeps the order
            return ops.argmax(self._logits(image), axis=-1)
        probabilities = ops.softmax(self._logits(image), axis=-1)
        if self.flip:
            mirrored = ops.softmax(self._logits(ops.flip(image, axis=2)), axis=-1)
            probabilities = (probabilities + ops.flip(mirrored, axis=2)) / 2
        return ops.argmax(probabilities, axis=-1) if self.labels else probabilities

    def _logits(self, image):
        logits = ops.cast(self.model(image, training=False), "float32")
        wanted, had = tuple(image.shape[1:3]), tuple(logits.shape[1:3])
        if wanted == had and None not in wanted:
            return logits
        return resize(logits, spatial_shape(image))  # where the sizes agree at run time, it only copies


def limit_threads(threads: int) -> None:
    """Keep TensorFlow to so many threads an operation, as long as it has not begun to work; else a KsegWarning."""
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


def signature(model: keras.Model) -> tuple[int | None, tuple[int, int] | None, int]:
    """The fixed batch size (or None), the fixed (height, width) of the input (or None), and the class count.

    Raises:
        ModelError: not one image in and one map of class logits out.
    """
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"A Keras model is expected, got {type(model).__name__}; kseg.models.load reads one from a file"
        )
    image, logits = _one_input(model), _one_output(model)
    if len(image) != 4 or image[-1] != 3 or len(logits) != 4:
        raise ModelError(
            f"The model {model.name!r} takes {image} and gives {logits}; expected images (batch, height, "
            "width, 3) and "
            "class logits (batch, height, width, classes)"
        )
    if logits[-1] is None or logits[-1] < 2:
        raise ModelError(
            f"The model {model.name!r} gives {logits[-1]} channel(s); expected one per class and at least 2 "
            "(for a "
            "yes-or-no model: background and object)"
        )
    size = tuple(image[1:3])
    if (size[0] is None) != (size[1] is None):
        raise ModelError(
            f"The model {model.name!r} takes images {size}; expected both sides free or both fixed"
        )
    return image[0], None if None in size else size, int(logits[-1])


def _one_input(model: keras.Model) -> tuple:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return (None, None, None, 3)  # a subclassed model does not say
    if len(inputs) > 1:
        raise ModelError(f"The model {model.name!r} has {len(inputs)} inputs; expected one, the image")
    return tuple(inputs[0].shape)


def _one_output(model: keras.Model) -> tuple:
    outputs = getattr(model, "outputs", None)
    if not outputs:
        try:
            spec = model.compute_output_spec(keras.KerasTensor((1, *PROBE, 3), "float32"))
        except Exception as error:  # the user's own code may raise anything
            raise ModelError(f"The model {model.name!r} cannot take an image: {error}") from error
        outputs = keras.tree.flatten(spec)
    if len(outputs) > 1:
        raise ModelError(
            f"The model {model.name!r} has {len(outputs)} outputs; expected one, the class logits"
        )
    return tuple(outputs[0].shape)


def output_stride(model: keras.Model) -> int:
    """Pixels of the image per value of the coarsest map, as far as the model tells; 1 where it does not."""
    backbone = getattr(model, "backbone", None)
    return int(getattr(backbone, "output_stride", 1) or 1)


def mean_colour(model: keras.Model) -> tuple[float, float, float]:
    """The colour that the model's first layer turns into zero, RGB 0-255; ImageNet's mean where there is
    none."""
    for layer in getattr(model, "layers", ()):
        mean = getattr(layer, "mean", None)
        if isinstance(mean, tuple) and len(mean) == 3:
            return tuple(float(value) for value in mean)
    return MEAN_COLOUR
