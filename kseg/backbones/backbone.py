"""`Backbone`: an encoder that names its stages."""

from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.backbones.saving import check_reloads
from kseg.errors import SettingsError


@keras.saving.register_keras_serializable(package="kseg")
class Backbone(keras.Model):
    """A functional Keras model whose intermediate feature maps have names.

    Your own graph becomes an encoder by naming its image and its stages, and is saved with its layers; the
    encoders of kseg are subclasses that build theirs from a few arguments.

    Args:
        image: the `keras.Input` of shape `(height, width, 3)`, RGB in 0-255; sizes may be None. Other channels and
            values go with data that says so, see `kseg.data.Dataset`.
        stages: dict from stage name to feature tensor `(batch, h, w, channels)`, shallow first. Stages are known
            by name and not by stride, since dilated stages share a stride; "stage<k>" has the stride 2^k, or
            `output_stride` where that is smaller.
        output_stride: pixels of the image from one cell of the deepest stage to the next.
        value_range: (lowest, highest) value of the images that the graph takes, where it is not 0-255.
        name: name of the model.
        trainable: False freezes all layers.

    The dtype policy is the one in force during construction; it is saved with the model and in force again when
    it is loaded.

    Attributes:
        stages: dict from stage name to feature tensor, shallow first.
        deepest: features of the last stage.
        input: the image tensor.
        padding: "same"; "original" if the network pads the image itself by 100 pixels (the released FCN);
            "image" if it pads the image to a multiple of its stride.
        image_scale: factor by which the network resizes the image first; 1 if it does not.

    Raises:
        SettingsError: no stages, an unknown argument, or an output stride that is not a whole number.
        ModelError: when saved, a layer of the graph that is not registered with Keras.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict from stage name to features `(batch, h, w, channels)`. Heads use `backbone.input` and
        `backbone.stages` directly.

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
    value_range = (0.0, 255.0)

    @draws_graph
    def __init__(
        self,
        image: keras.KerasTensor,
        stages: dict[str, keras.KerasTensor],
        *,
        output_stride: int | None = None,
        value_range: tuple[float, float] | None = None,
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
        if value_range is not None:
            self.value_range = checks.value_range(value_range)
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

        So do those of kseg's own encoders and of `from_classifier(padding="image")`; of your own graph it is
        not known.
        """
        return type(self) is not Backbone and self.padding != "original"

    def free_name(self, name: str) -> str:
        """Give a free name for a layer of a head.

        Args:
            name: the name wanted.

        Returns:
            `name`, or "head_" and `name` if a layer of the backbone has it already.
        """
        taken = {operation.name for operation in self.operations}
        while name in taken:
            name = f"head_{name}"
        return name

    def stride_of(self, stage: str) -> int | float:
        """Pixels of the image from one cell of a stage to the next.

        "stage<k>" has 2^k, at most `output_stride` (which stages with other names have), divided by
        `image_scale`.

        Args:
            stage: name of a stage, such as "stage3".

        Returns:
            An integer, or a float if `image_scale` makes it a fraction.
        """
        number = stage.removeprefix("stage")
        stride = min(2 ** int(number), self.output_stride) if number.isdecimal() else self.output_stride
        return stride if self.image_scale == 1 else stride / self.image_scale

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None) -> None:
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
        values = {} if self.value_range == Backbone.value_range else {"value_range": self.value_range}
        return {**shared, **stages, **values, "graph": graph}

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
