"""`Segmenter`: what every segmentation model of kseg is."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import Backbone
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.backbones.saving import check_reloads
from kseg.errors import KsegWarning, ModelError, SettingsError
from kseg.models.structure.compiling import resolved, single_numbers, takes_probabilities
from kseg.models.structure.fit_data import checked_data
from kseg.models.structure.head_graph import HeadGraph, logits_from_config
from kseg.models.structure.labelling import Labelling, labelled
from kseg.models.structure.model_parts import frozen_layers, layer_multipliers, set_trainable
from kseg.optimizers import with_learning_rates


@keras.saving.register_keras_serializable(package="kseg")
class Segmenter(keras.Model):
    """A functional Keras model from an image to class logits of the image's size.

    Layers of your own between a backbone and the logits make a model that trains, saves, predicts and exports
    like the published networks, which are subclasses that build theirs from a few arguments.

    Args:
        image: the input tensor (the backbone's), `(batch, height, width, 3)`, RGB 0-255, any size; or of the channels
            and the values that the backbone takes.
        logits: float32 tensor `(batch, height, width, num_classes)`.
        backbone: the `kseg.backbones.Backbone` that the graph was built on; the other variables are the head.
        num_classes: number of classes; 1 is one channel, the logit of class 1 (sigmoid above 0.5) beside class 0.
        name: name of the model.
        trainable: False freezes all layers.

    Attributes:
        backbone, num_classes: the arguments of the same names.
        classes: class names, or None. Once set (training does it), they are saved with the model.
        palette: an (r, g, b) of 0-255 per class, or None; saved likewise.
        multilabel: whether a pixel may belong to several classes, or to none: each channel is then a sigmoid of its
            own. Saved with the model.
        value_range: (lowest, highest) value of the images that the backbone takes; (0, 255) of RGB.
        working_size: (height, width) to which `kseg.inference.Predictor` resizes images, for a model that was
            trained at this size alone; None leaves images as they are. Saved with the model.

    Raises:
        SettingsError: no `Backbone`, no number of classes, or an unknown argument.
        ModelError: logits that depend on more than the backbone; when saved, a layer that is not registered with
            Keras.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> x = keras.layers.Conv2D(3, 1)(backbone.deepest)
    >>> logits = kseg.layers.ResizeLike(dtype="float32")([x, backbone.input])
    >>> model = kseg.models.Segmenter(backbone.input, logits, backbone=backbone, num_classes=3)
    >>> model.output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        image: keras.KerasTensor,
        logits: keras.KerasTensor,
        *,
        backbone: Backbone,
        num_classes: int,
        name: str | None = None,
        trainable: bool = True,
    ):
        if not isinstance(backbone, Backbone):
            raise SettingsError(
                f"`backbone` must be a kseg.backbones.Backbone; got {type(backbone).__name__}: "
                "kseg.backbones.from_classifier makes one of a Keras classifier, Backbone(image, stages) of a graph."
            )
        super().__init__(inputs=image, outputs=logits, name=name)
        self.backbone = backbone
        self.num_classes = checks.whole(num_classes, "num_classes")
        self._labelling = Labelling(self.num_classes)
        if type(self) is Segmenter:  # a subclass draws its graph itself
            self._head = HeadGraph(backbone, logits)
        if not checks.flag(trainable, "trainable"):
            self.trainable = False

    classes = labelled("classes")
    palette = labelled("palette")
    working_size = labelled("working_size")
    multilabel = labelled("multilabel")

    @property
    def value_range(self) -> tuple[float, float]:
        return self.backbone.value_range

    @classmethod
    def from_preset(
        cls,
        name: str | Path,
        num_classes: int | None = None,
        *,
        classes: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        dtype: str | None = None,
    ) -> "Segmenter":
        """Load a trained network, as it is or for other classes.

        Args:
            name, num_classes, classes, palette, dtype: see `kseg.models.from_preset`.

        Returns:
            The network, of this class; a `ModelError` of another.
        """
        from kseg.models.loading.preset import from_preset

        model = from_preset(name, num_classes, classes=classes, palette=palette, dtype=dtype)
        if not isinstance(model, cls):
            raise ModelError(
                f"the preset {str(name)!r} is a {type(model).__name__}, not a {cls.__name__}: use "
                f"kseg.models.{type(model).__name__}.from_preset, or kseg.models.from_preset for any."
            )
        return model

    def save_to_preset(self, folder: str | Path, **card: Any) -> None:
        """Save the network with a card into a folder that `from_preset` reads.

        Args:
            folder, **card: see `kseg.models.save_to_preset`.
        """
        from kseg.models.loading.preset_folder import save_to_preset

        save_to_preset(self, folder, **card)

    def change_classes(
        self,
        num_classes: int | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
    ) -> "Segmenter":
        """Make a network for other classes, with this one's weights; this one is not changed.

        Args:
            num_classes, classes, palette: see `kseg.models.with_classes`.

        Returns:
            A network of the same class, whose score layers are new for classes that this one does not have.

        Example:

        >>> model = kseg.models.from_preset("people").change_classes(classes=["wall", "person", "door"])
        """
        from kseg.models.loading.other_classes import with_classes

        return with_classes(self, num_classes, classes=classes, palette=palette)

    def freeze(self, *parts: str) -> None:
        """Leave the weights and statistics of parts as they are in training; saved with the network.

        On a compiled network it holds from the next `fit` on.

        Args:
            parts: "backbone"; "head", which is everything else; "batch_normalization"; a stage of the backbone such
                as "stage2", whose layers are those that lead to it from the stage before; or a layer's name. Without
                any, all of the network.

        Raises:
            SettingsError: no such part; the message lists them.

        Example:

        >>> model = kseg.models.from_preset("people")
        >>> model.freeze("backbone")
        >>> model.backbone.trainable_variables
        []
        """
        set_trainable(self, parts, False)

    def unfreeze(self, *parts: str) -> None:
        """Train parts again that `freeze` named; compile the network again before it goes on training.

        Args:
            parts: as in `freeze`; without any, all of the network.
        """
        set_trainable(self, parts, True)

    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "auto",
        *,
        metrics: Any = "auto",
        weighted_metrics: Any = None,
        learning_rates: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keras's `compile`, which needs no argument here.

        Args:
            optimizer: "auto" is `kseg.optimizers.AdamW` with a learning rate of 3e-4.
            loss: "auto" is `kseg.losses.CrossEntropy`, which ignores the label 255. Losses and metrics that would
                take the logits for probabilities are warned of.
            metrics: "auto" is, with the loss "auto", the mean IoU and the IoU of each class, and none with a loss of
                your own.
            learning_rates: factor on the learning rate by part (see `freeze`), such as `{"backbone": 0.1}`; where
                parts have a layer in common, the last counts. For Adam, AdamW and SGD.
            weighted_metrics, **kwargs: as in Keras.

        Raises:
            SettingsError: no such part, or learning rates by part with another optimizer.

        Example:

        >>> model = kseg.models.from_preset("people", classes=["wall", "person", "door"])
        >>> model.compile(learning_rates={"backbone": 0.1})
        """
        optimizer, loss, metrics = resolved(self, optimizer, loss, metrics)
        if learning_rates:
            optimizer = with_learning_rates(optimizer, layer_multipliers(self, learning_rates))
        wrong = takes_probabilities([loss, metrics or [], weighted_metrics or []])
        if wrong:
            warnings.warn(
                f"The model gives logits, and {', '.join(wrong)} takes them for probabilities: give "
                "kseg.losses.CrossEntropy(), or a loss with from_logits=True, and kseg.metrics.MeanIoU(num_classes).",
                KsegWarning,
                stacklevel=2,
            )
        super().compile(optimizer, loss, metrics=metrics, weighted_metrics=weighted_metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Keras's, which leaves a model with a `compile` of its own uncompiled."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def get_metrics_result(self) -> dict[str, Any]:
        """Keras's, without what no log can hold, such as a confusion matrix."""
        return single_numbers(super().get_metrics_result())

    def fit(self, x=None, y=None, *args, **kwargs):
        """Keras's `fit`; what it is given is checked first, and one sentence tells a mistake."""
        with checked_data(self, x, y, kwargs) as y:
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Keras's `evaluate`, checked as `fit` is."""
        with checked_data(self, x, y) as y:
            return super().evaluate(x, y, *args, **kwargs)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Save as a `.keras` file, as `keras.Model.save` does; refuse what could not be loaded again."""
        check_reloads(self)
        super().save(filepath, overwrite=overwrite, zipped=zipped)

    def get_config(self) -> dict[str, Any]:
        # Not the functional graph: the subclass adds its arguments, and its constructor draws the graph again.
        head = {"head_graph": self._head.get_config()} if type(self) is Segmenter else {}
        frozen = {} if self.trainable else {"trainable": False}
        if self.trainable and (names := frozen_layers(self)):
            frozen = {"frozen": names}
        return {
            **frozen,
            **head,
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            **self._labelling.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Segmenter":
        config = dict(config)
        labelling = {"multilabel": config.pop("multilabel", False)}
        labelling |= {key: config.pop(key, None) for key in ("classes", "palette", "working_size")}
        trainable, dtype = config.pop("trainable", True), config.pop("dtype", None)
        frozen = config.pop("frozen", ())
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        if "head_graph" in config:
            config["image"] = config["backbone"].input
            config["logits"] = logits_from_config(
                config.pop("head_graph"), config["backbone"], custom_objects
            )
        with graph_settings(dtype):
            model = cls(**config)
        for key, value in labelling.items():
            setattr(model, key, value)
        if not trainable:  # Keras sets it before the layers are there
            model.trainable = False
        for layer in frozen:
            model.get_layer(layer).trainable = False
        return model
