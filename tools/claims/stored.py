"""`CachedLite`: EfficientNet-Lite0 with its maps read from a cache instead of computed."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kseg import checks
from kseg.backbones import Backbone, EfficientNetLite
from kseg.layers import BatchNormalization, MaxPoolingWithArgmax2D

from .cache import SPLITS

# Stage -> the layer whose input is the narrow map behind a group of blocks: what the block that strides next takes.
NARROW = {
    "stage1": "block2a_expand_conv",
    "stage2": "block3a_expand_conv",
    "stage3": "block4a_expand_conv",
    "stage4": "block6a_expand_conv",
    "stage5": "head_conv",
}


def narrow_maps(stages: tuple[str, ...] = tuple(NARROW), weights: str | None = "imagenet") -> keras.Model:
    """From an image to the narrow maps of EfficientNet-Lite0: stages 1 to 4 at output stride 8, stage 5 at 32.

    Read at every second cell, stage 4 is that of output stride 16 and 32 (`EfficientNetLite`), on images whose sides
    are multiples of 32. Wide stages are a convolution away, and forty times less has to be stored.
    """
    dense = EfficientNetLite(output_stride=8, last_stage="stage4", weights=weights)
    whole = EfficientNetLite(weights=weights)
    if weights is None:  # both are one network
        for layer in dense.layers:
            layer.set_weights(whole.get_layer(layer.name).get_weights())
    image = keras.Input((None, None, 3), name="image")
    found = {}
    for network, ours in ((dense, [s for s in stages if s != "stage5"]), (whole, [s for s in stages if s == "stage5"])):
        if ours:
            found |= keras.Model(network.input, {s: network.get_layer(NARROW[s]).input for s in ours})(image)
    return keras.Model(image, found, name="lite0_narrow")


@functools.lru_cache(maxsize=64)
def _opened(path: str) -> np.ndarray:
    return np.load(path, mmap_mode="r")


@keras.saving.register_keras_serializable(package="kseg_claims")
class StoredMap(layers.Layer):
    """A map out of a cache: takes the images of `NumberedViews`, and gives the rows of their numbers, float32.

    Args:
        folder: of the cache, with a folder for each split.
        stage: which map.
        step: every so many cells are read, in both directions.
    """

    def __init__(self, folder: str, stage: str, step: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.folder, self.stage, self.step = str(folder), stage, step

    def call(self, image):
        digits = tf.cast(image[:, 0, 0], tf.int64)
        numbers = tf.reduce_sum(digits * tf.constant([1, 256, 65536], tf.int64), axis=-1)
        splits = tf.cast(image[:, 0, 1, 0], tf.int64)
        maps = tf.numpy_function(self._read, [splits, numbers], tf.float32, stateful=False)
        return tf.ensure_shape(maps, self.compute_output_shape(image.shape))

    def _rows(self, split: int) -> np.ndarray:
        return _opened(f"{self.folder}/{SPLITS[split]}/{self.stage}.npy")

    def _read(self, splits: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        step = self.step
        found = [self._rows(split)[number, ::step, ::step] for split, number in zip(splits, numbers, strict=True)]
        return np.stack(found).astype(np.float32)

    def compute_output_shape(self, input_shape):
        _, height, width, channels = self._rows(0).shape
        return (None, -(-height // self.step), -(-width // self.step), channels)

    def compute_output_spec(self, image):
        return keras.KerasTensor(self.compute_output_shape(image.shape), "float32")

    def get_config(self):
        return {**super().get_config(), "folder": self.folder, "stage": self.stage, "step": self.step}


@keras.saving.register_keras_serializable(package="kseg_claims")
class CachedLite(Backbone):
    """EfficientNet-Lite0 without the computing: its stages are read from a cache that `narrow_maps` filled.

    Args:
        folder: of the cache, with a folder for each split.
        wide: the stages of `EfficientNetLite`, the expanded activations, each a frozen convolution behind what is read;
            False gives what is read, which convolutions of several cells do as well with.
        output_stride: 8 (the stages end with stage 4, as the catalog's networks of this stride do), 16 or 32.
        unpooling: what `switches` tells: "switches", where the maxima stood, or "fixed", always the first place of a
            window, which makes of DeconvNet's unpooling the plain upsampling of a transposed convolution of stride 2.
        name, trainable: as in Keras.
    """

    bottleneck = (1, "same")

    def __init__(self, folder, *, wide=True, output_stride=32, unpooling="switches", name=None, trainable=True):
        self.folder, self.wide, self.unpooling = str(folder), wide, unpooling
        output_stride = checks.one_of(output_stride, "output_stride", (8, 16, 32))
        facts = json.loads((Path(folder) / SPLITS[0] / "cache.json").read_text(encoding="utf-8"))
        image = keras.Input((None, None, 3), name="image")
        last = 4 if output_stride < 32 else 5
        stages = {}
        for stage in (s for s in NARROW if s in facts["maps"] and int(s[-1]) <= last):
            step = output_stride // 8 if stage == "stage4" and output_stride < 32 else 1 + (stage == "stage4")
            stages[stage] = StoredMap(str(folder), stage, step, name=f"narrow_{stage}")(image)
        self._narrow = dict(stages)
        if wide:
            stages = {stage: _widened(x, NARROW[stage].removesuffix("_conv"), stage) for stage, x in stages.items()}
        super().__init__(image, stages, output_stride=output_stride, name=name or "cached_lite0", trainable=trainable)
        if wide:
            _take_weights(self)

    @property
    def widths(self):
        return tuple(self._narrow[stage].shape[-1] for stage in list(NARROW)[:4])

    @property
    def stride_of_switches(self):
        return 2

    def switches(self, stage):
        narrow = source = self._narrow[stage]
        if self.unpooling == "fixed":
            source = layers.Rescaling(0.0, name=f"{stage}_alike")(narrow)  # of equal values the first is taken
        return MaxPoolingWithArgmax2D(2, padding="same", name=f"{stage}_switches")(source)[1], narrow

    def get_config(self):
        return {
            "name": self.name,
            "folder": self.folder,
            "wide": self.wide,
            "output_stride": self.output_stride,
            "unpooling": self.unpooling,
        }


def _widened(x, name, stage):
    """The frozen 1x1 convolution, normalisation and ReLU6 of EfficientNet-Lite0 that make a stage of a narrow map."""
    filters = 1280 if stage == "stage5" else 6 * x.shape[-1]
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv", trainable=False)(x)
    x = BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn", trainable=False)(x)
    return layers.ReLU(max_value=6, name=name)(x)


@functools.lru_cache(maxsize=1)
def _network() -> keras.Model:
    return EfficientNetLite()


def _take_weights(backbone: Backbone) -> None:
    for layer in backbone.layers:
        if layer.weights:
            layer.set_weights(_network().get_layer(layer.name).get_weights())
