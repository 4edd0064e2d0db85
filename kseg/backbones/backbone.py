"""`Backbone`: an encoder that names its stages."""

from typing import Any

import keras

from kseg import checks
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.backbones.saving import check_reloads
from kseg.errors import SettingsError


@keras.saving.register_keras_serializable(package="kseg")
class Backbone(keras.Model):
    """A functional Keras model whose intermediate feature maps have names.

    A graph of one's own becomes an encoder by its image and its stages, and is saved with its layers; the encoders
    of kseg are subclasses that draw theirs from a few arguments.

    Args:
        image: the `keras.Input` of shape `(height, width, 3)`, RGB in 0-255; sizes may be None.
        stages: dict from stage name to feature tensor `(batch, h, w, channels)`, shallow first. Stages are known
            by name and not by stride, since dilated stages share a stride; "stage<k>" has the stride 2^k, or
            `output_stride` where that is smaller.
        output_stride: pixels of the image from one cell of the deepest stage to the next.
        name: name of the model.
        trainable: False freezes all layers.

    The dtype policy is the one in force during construction; it is saved with the model and in force again when
    it is loaded.

    Attributes:
        stages: the dict given above.
        deepest: features of the last stage.
        input: the image tensor.
        padding: "same"; "original" where the network pads the image itself by 100 pixels (the released FCN); "image"
            where it fills the image up to a multiple of its stride.
        image_scale: what the network upsamples the image by before anything else; 1 is not at all.

    Output: a dict from stage name to features. Heads build on `backbone.input` and `backbone.stages` directly.

    Raises:
        SettingsError: no stages, an unknown argument, or an output stride that is no whole number.
        ModelError: when saved, where a layer of the graph is not registered with Keras.

    Example:

    >>> image = x = keras.Input((None, None, 3))
    >>> stages = {}
    >>> for number in range(1, 6):
    ...     x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    ...     stages[f"stage{number}"] = x
    >>> backbone = kseg.backbones.Backbone(image, stages)
    >>> kseg.models.LRASPP(backbone, num_classes=3).output_shape
    (None, None, None, 3)
    """

    padding = "same"
    image_scale = 1
    output_stride = 32

    @draws_graph
    def __init__(
        self,
        image: keras.KerasTensor,
        stages: dict[str, keras.KerasTensor],
        *,
        output_stride: int | None = None,
        name: str | None = None,
        trainable: bool = True,
    ):
        if not isinstance(stages, dict) or not stages:
            raise SettingsError(f"`stages` must be a dict from stage name to tensor; got {stages!r}.")
        if output_stride is not None:
            output_stride = checks.whole(output_stride, "output_stride")
        super().__init__(inputs=image, outputs=dict(stages), name=name)
        # Keras sorts dict outputs by key; heads want them as given, shallow first.
        self._stage_names = tuple(stages)
        if output_stride is not None:
            self.output_stride = output_stride
        if not checks.flag(trainable, "trainable"):
            self.trainable = False

    @property
    def stages(self) -> dict[str, keras.KerasTensor]:
        named = dict(self.output)
        return {name: named[name] for name in self._stage_names}

    @property
    def deepest(self) -> keras.KerasTensor:
        return self.stages[self._stage_names[-1]]

    @property
    def deepest_stride(self) -> int | float:
        """Pixels of the image from one cell of the last stage to the next."""
        return self.stride_of(self._stage_names[-1])

    @property
    def aligned(self) -> bool:
        """Whether cell i of every stage stands at pixel i times its stride, at every size of the image.

        So do those of kseg's own encoders and of `from_classifier(padding="image")`; of a graph of one's own it is
        not known.
        """
        return type(self) is not Backbone and self.padding != "original"

    def free_name(self, name: str) -> str:
        """A name for a head's layer: the one given, or "head_" and it where a layer of the backbone has it."""
        taken = {operation.name for operation in self.operations}
        while name in taken:
            name = f"head_{name}"
        return name

    def stride_of(self, stage: str) -> int | float:
        """Pixels of the image from one cell of a stage ("stage3") to the next.

        2 to its number, up to `output_stride` (which stages of other names have), divided by `image_scale`: a
        fraction where that does not divide it.
        """
        number = stage.removeprefix("stage")
        stride = min(2 ** int(number), self.output_stride) if number.isdecimal() else self.output_stride
        return stride if self.image_scale == 1 else stride / self.image_scale

    def save(self, filepath, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Save as a `.keras` file, as `keras.Model.save` does; refuse what could not be loaded again."""
        check_reloads(self)
        super().save(filepath, overwrite=overwrite, zipped=zipped)

    def get_config(self) -> dict[str, Any]:
        frozen = {} if self.trainable else {"trainable": False}
        shared = {"name": self.name, "dtype": self.dtype_policy.name, **frozen}
        if type(self) is not Backbone:
            # The graph is not part of it: the subclass adds its arguments, its constructor draws the graph.
            return shared
        graph = keras.Model(self.input, dict(self.output), name=self.name).get_config()
        stages = {"stages": self._stage_names, "output_stride": self.output_stride}
        return {**shared, **stages, "graph": graph}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Backbone":
        config = dict(config)
        trainable, dtype = config.pop("trainable", True), config.pop("dtype", None)
        if "graph" in config:
            graph = keras.Model.from_config(config.pop("graph"), custom_objects)
            config["image"] = graph.input
            config["stages"] = {name: graph.output[name] for name in config["stages"]}
        with graph_settings(dtype):
            backbone = cls(**config)
        if not trainable:  # Keras sets it before the layers are there
            backbone.trainable = False
        return backbone
