"""Re-estimating the statistics of batch normalisation by forward passes, after training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import keras
import numpy as np

from kseg.errors import DataError, ModelError


def reestimate_batch_norm(
    model: keras.Model,
    batches: Iterable[Any],
    steps: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Replace the moving statistics of a model's batch normalisation by averages over forward passes.

    Moving averages follow weights that were still changing. Here the weights stand still: in every pass each
    layer normalises by its batch, and its mean, and its variance times m / (m - 1) for m values, are averaged
    over the passes. Everything else, such as dropout, behaves as in inference. Layers that are not trainable
    keep their statistics. The passes run eagerly, so any Keras model serves.

    Args:
        model: Keras model; it is changed in place.
        batches: batches of images `(batch, height, width, 3)`, or `(images, labels)` as `kseg.data.pipeline`
            gives them. Sizes and augmentation should be those of training.
        steps: the most batches to use; None: all of them. The release uses 501 of 8 images.
        progress: called with (passes done, `steps`).

    Returns:
        The number of passes.

    Raises:
        ModelError: no trainable batch normalisation in the model.
        DataError: no batches, or statistics that are not finite. The model is unchanged then.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015; the released
        `BN_make_INFERENCE_script.py`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> model = kseg.models.DilatedFCN(backbone, num_classes=3, filters=8)
    >>> kseg.training.reestimate_batch_norm(model, [np.random.rand(2, 32, 32, 3) * 255])
    1
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        raise ModelError(f"The model {model.name!r} has no trainable batch normalisation to re-estimate.")
    before = [(np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in layers]
    sums, done = [_Sums() for _ in layers], 0
    try:
        with ExitStack() as stack:
            for layer, own in zip(layers, sums, strict=True):
                stack.enter_context(_recorded(layer, own))
            for batch in islice(batches, steps):
                model(batch[0] if isinstance(batch, (tuple, list)) else batch, training=False)
                done += 1
                if progress is not None:
                    progress(done, steps)
        if done == 0:
            raise DataError("Re-estimating batch normalisation needs at least one batch of images; got none.")
        after = [own.averages() if own.count else old for own, old in zip(sums, before, strict=True)]
        for layer, values in zip(layers, after, strict=True):
            if not all(np.isfinite(value).all() for value in values):
                raise DataError(
                    f"The statistics of layer {layer.name!r} are not finite: an image has NaN, or a weight has "
                    "diverged."
                )
    except BaseException:
        _assign(layers, before)
        raise
    _assign(layers, after)
    return done


class _Sums:
    """Sums of one layer's means and unbiased variances, in float64."""

    def __init__(self) -> None:
        self.mean, self.variance, self.count = 0.0, 0.0, 0

    def add(self, mean: Any, variance: Any, values: int) -> None:
        self.mean = self.mean + np.asarray(mean, np.float64)
        self.variance = self.variance + np.asarray(variance, np.float64) * (values / max(values - 1, 1))
        self.count += 1

    def averages(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mean / self.count, self.variance / self.count


@contextmanager
def _recorded(layer: keras.layers.BatchNormalization, sums: _Sums) -> Iterator[None]:
    """Let a layer normalise by its batch, whatever the model's mode, and record the batch's statistics."""
    original, momentum = layer.call, layer.momentum

    def call(inputs, training=None, mask=None):
        outputs = original(inputs, training=True, mask=mask)
        sums.add(
            layer.moving_mean, layer.moving_variance, int(np.prod(inputs.shape)) // inputs.shape[layer.axis]
        )
        return outputs

    layer.momentum = 0.0  # the moving statistics are then the batch's own
    layer.call = call
    try:
        yield
    finally:
        del layer.call
        layer.momentum = momentum


def _assign(layers: list, statistics: list) -> None:
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
