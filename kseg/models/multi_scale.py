"""`MultiScale`: a segmentation model that sees its image at several scales and keeps the highest scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers

from kseg import checks
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.errors import ModelError
from kseg.layers import ResizeLike, ScaledImage
from kseg.models.structure.segmenter import Segmenter

SCALES = (0.5, 0.75, 1.0)


@keras.saving.register_keras_serializable(package="kseg")
class MultiScale(Segmenter):
    """The multi-scale form of DeepLab v2, for training and testing: one set of weights, fused by maximum.

    The model sees the image at every scale. The score maps are resized to that of scale 1, and each cell
    keeps its highest score per class before the scores are upsampled to the image. The wrapper shares the
    model's weights and is saved, evaluated and exported like any other model:

        MultiScale(kseg.models.load("best.keras")).save("multi_scale.keras")

    To average probabilities instead, as PSPNet does at test time, use `kseg.inference.Predictor(model,
    scales=...)`.

    Args:
        model: a `Segmenter`. If it ends in a bilinear upsampling named "logits" (DeepLab, PSPNet), the scores
            before it are fused, as in the release; otherwise the logits are.
        scales: factors on the image's size; one of them is 1.
        name, trainable: as in Keras.

    Raises:
        SettingsError: scales without 1, or that are not above 0.
        ModelError: a model that is not a `Segmenter`.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Chen et al., "DeepLab", TPAMI 2017, section 4.1.2 ("multi-scale inputs"); the released ResNet-101
        `train.prototxt`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    >>> model = kseg.models.DeepLabV2(backbone, num_classes=3, rates=(6, 12))
    >>> kseg.models.MultiScale(model, scales=(1.0, 0.5)).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        model: Segmenter,
        scales: Sequence[float] = SCALES,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        if not isinstance(model, Segmenter):
            raise ModelError(f"multi-scale inputs need a Segmenter of kseg, got {type(model).__name__}")
        scales = checks.scales(scales, with_one=True)
        image = keras.Input((None, None, model.input_shape[-1]), name="image")
        seen = scale_maps(model, scales, image)
        logits = upsampled(seen.fused, image, seen.upsampling, "logits")
        super().__init__(
            image,
            logits,
            backbone=model.backbone,
            num_classes=model.num_classes,
            name=name,
            trainable=trainable,
        )
        self.base, self.scales, self.multilabel = model, scales, model.multilabel
        self.classes, self.palette, self.working_size = model.classes, model.palette, model.working_size

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["backbone"], config["num_classes"]
        return {**config, "model": keras.saving.serialize_keras_object(self.base), "scales": self.scales}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "MultiScale":
        # `Segmenter.from_config` restores an argument called `backbone`.
        base = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        given = {key: config[key] for key in ("scales", "name", "trainable") if key in config}
        with graph_settings(config["dtype"]):
            model = cls(base, **given)
        model.classes, model.palette = config["classes"], config["palette"]
        model.working_size = config.get("working_size", model.working_size)
        return model


class ScaleMaps(NamedTuple):
    """The score maps of one image at several scales.

    maps: by scale, as the network gives them (each of its own size); resized: by scale, at the size of scale 1; fused:
    the maximum of these; upsampling: the layer that upsamples the model's scores, None where the maps are logits.
    """

    maps: dict[float, keras.KerasTensor]
    resized: dict[float, keras.KerasTensor]
    fused: keras.KerasTensor
    upsampling: ResizeLike | None


@graph_settings()
def scale_maps(model: Segmenter, scales: Sequence[float], image: keras.KerasTensor) -> ScaleMaps:
    """The score maps of a model on an image at several scales."""
    scores, upsampling = before_upsampling(model)
    network = keras.Model(model.input, scores, name="scores")
    stride = None if upsampling is None else upsampling.cell_stride
    maps = {}
    for scale in scales:
        shrink = ScaledImage(scale, stride, name=f"image_{_words(scale)}", dtype="float32")
        maps[scale] = network(shrink(image))
    like = {"align_corners": getattr(upsampling, "align_corners", False), "dtype": "float32"}
    resized = {
        scale: one if scale == 1 else ResizeLike(name=f"scores_{_words(scale)}", **like)([one, maps[1.0]])
        for scale, one in maps.items()
    }
    fused = list(resized.values())
    fused = layers.Maximum(name="fused", dtype="float32")(fused) if len(fused) > 1 else fused[0]
    return ScaleMaps(maps, resized, fused, upsampling)


def before_upsampling(model: keras.Model) -> tuple[keras.KerasTensor, ResizeLike | None]:
    """A model's scores before the bilinear upsampling at its end, and that layer; else its logits and None."""
    last = next((layer for layer in model.layers if layer.name == "logits"), None)
    if isinstance(last, ResizeLike):
        return last.input[0], last
    return model.output, None


def upsampled(scores, image, upsampling, name):
    """Scores at the image's size, in float32, upsampled as the model does it."""
    settings = {}
    if upsampling is not None:
        settings = {key: getattr(upsampling, key) for key in ("method", "align_corners", "factor")}
    return ResizeLike(name=name, dtype="float32", **settings)([scores, image])


def _words(scale: float) -> str:
    """A scale for a layer's name: 0.75 is "0_75"."""
    return f"{scale:g}".replace(".", "_")
