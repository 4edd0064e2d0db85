"""A small network and a weights file of it, as keras.applications writes them."""

import h5py
import keras
import numpy as np
from keras import layers

import kseg


def small_network(width=2):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, name="a"),
            layers.BatchNormalization(name="b"),
            layers.Conv2D(width, 4, name="fc6"),
        ],
        name="net",
    )


def write_classifier(path, prefix=None):
    """The layout of keras.applications' files: names in attributes, dense kernels for fc1."""
    generator = np.random.default_rng(0)
    saved = {
        "a": [generator.normal(size=(3, 3, 3, 4)), generator.normal(size=4)],
        "b": [generator.normal(size=4) for _ in range(4)],
        "flatten": [],
        "fc1": [generator.normal(size=(64, 2)), generator.normal(size=2)],
    }
    with h5py.File(path, "w") as file:
        group = file.create_group(prefix) if prefix else file
        group.attrs["layer_names"] = [name.encode() for name in saved]
        for name, arrays in saved.items():
            keys = [f"{name}_W_{index}:0" for index in range(len(arrays))]
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays, strict=True):
                inner[key] = array
    return saved


def stages_of(image, width=4):
    """Five strided convolutions: a graph as a user draws one."""
    x, stages = image, {}
    for number in range(1, 6):
        x = layers.Conv2D(width, 3, 2, "same", activation="relu", name=f"own{number}")(x)
        stages[f"stage{number}"] = x
    return stages


def drawn_on(backbone):
    x = layers.Conv2D(3, 1, name="score")(backbone.deepest)
    logits = kseg.layers.ResizeLike(dtype="float32", name="logits")([x, backbone.input])
    return kseg.models.Segmenter(backbone.input, logits, backbone=backbone, num_classes=3)
