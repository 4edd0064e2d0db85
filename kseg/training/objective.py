"""`objective_of`: what is trained where a loss needs more of a model than its one output, and its loss terms."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import ModelError, SettingsError
from kseg.layers import ResizeLike
from kseg.layers.resizing.scaled_image import scaled, steps
from kseg.models import Segmenter, with_auxiliary_head
from kseg.models.multi_scale import scale_maps, upsampled
from kseg.ops.labels import two_classes
from kseg.ops.strips import Taps, taps, upsampled_class_ids
from kseg.training.compilation import backbone_of
from kseg.training.recipes.recipe import Recipe
from kseg.training.rematerialization import Rematerialized

STRIP_BYTES = 2**27  # of the batch's logits at full size; beyond this they are upsampled strip by strip


@dataclass(frozen=True)
class Objective:
    """What `objective_of` gives.

    Attributes:
        model: the Keras model to compile and fit, with one loss and its metrics, as you would the model
            itself.
        own_layers: layers with variables that only the training has (the auxiliary head). A checkpoint from
            which training continues keeps them beside the model.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> model = kseg.models.DilatedFCN(backbone, num_classes=3, filters=8)
    >>> kseg.training.Objective(model).own_layers
    ()
    """

    model: keras.Model
    own_layers: tuple[keras.layers.Layer, ...] = ()


def objective_of(model: keras.Model, recipe: Recipe) -> Objective:
    """Build the model to train by a recipe; it shares every layer with `model`, which is what is saved.

    - `recipe.auxiliary_weight`: a second head (`with_auxiliary_head`), its loss times this weight (0.4 in PSPNet's
      paper). The head is dropped from what is saved.
    - `recipe.input_scales`: DeepLab v2's multi-scale inputs, shared weights on every scale and their maximum, the
      sum of the losses of each scale and of the maximum. What is saved is the model at scale 1, which validation
      scores too; to test it as it was trained, wrap it: `kseg.models.MultiScale(model, scales)`, or
      `--scales 0.5 0.75 1 --fuse max` of `kseg evaluate` and `kseg predict`.
    - `recipe.label_stride`: losses (and the training score) on every s-th label, DeepLab's "labels shrunk 8x".
      Where cell i of the scores stands over pixel s i (`ResizeLike.cell_stride`), as in the released DeepLab and
      PSPNet, that are the scores before upsampling, exactly, and the full-size logits are never computed; elsewhere
      `logits[:, ::s, ::s]`. With
      `input_scales` each scale's own map meets the labels under its cells, as released.

    - `recipe.remat`: stages of the backbone that are computed twice rather than kept (`Rematerialized`).

    With none of them the training model is `model` itself, unless a batch's logits at full size have more than
    STRIP_BYTES: then a model that ends in bilinear upsampling is trained on the scores before it, which are upsampled
    and compared with the labels strip by strip, to the same loss. Otherwise its `fit` computes these losses, and its
    `evaluate` and `predict` are those of `model`, at full size:

        training = objective_of(model, recipe)
        training.model.compile(optimizer, CrossEntropy(), metrics=[MeanIoU(classes)])
        training.model.fit(images_and_labels)
        model.save("model.keras")

    Args:
        model: the model to train; a `Segmenter` for `input_scales`, one that `with_auxiliary_head` takes for
            `auxiliary_weight`.
        recipe: the three settings above are read.

    Returns:
        An `Objective`.

    Raises:
        ModelError: a model that cannot be trained in that way.
        SettingsError: both `input_scales` and `auxiliary_weight`, or scales without 1.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> model = kseg.models.DilatedFCN(backbone, num_classes=3, filters=8)
    >>> kseg.training.objective_of(model, kseg.training.Recipe()).model is model
    True
    """
    if recipe.input_scales is not None and recipe.auxiliary_weight is not None:
        raise SettingsError("Recipe: give input_scales or auxiliary_weight, not both.")
    if recipe.input_scales is not None:
        scales = checks.scales(recipe.input_scales, "input_scales", with_one=True)
        graph, terms = _multi_scale(model, scales, recipe.label_stride)
    elif recipe.auxiliary_weight is not None:
        graph, terms = _auxiliary(model, recipe)
    elif recipe.label_stride is not None:
        output, cells = _at_stride(model, "logits", model.output, recipe.label_stride)
        graph = keras.Model(model.input, {"logits": output}, name="scores")
        terms = (LossTerm("logits", stride=recipe.label_stride, cells=cells),)
    elif _in_strips(model, "logits", recipe):
        layer = _layer(model, "logits")
        graph = keras.Model(model.input, {"logits": layer.input[0]}, name="scores")
        terms = (LossTerm("logits", upsampling=layer),)
    elif recipe.remat:
        graph, terms = model, ()
    else:
        return Objective(model)
    theirs = {id(layer) for layer in model.layers}
    own = [layer for layer in graph.layers if id(layer) not in theirs and not isinstance(layer, keras.Model)]
    again = Rematerialized(graph, backbone_of(model).stages, recipe.remat) if recipe.remat else None
    training_model = TrainingModel(model, graph, terms, again)
    return Objective(training_model, tuple(layer for layer in own if layer.variables))


@dataclass(frozen=True)
class LossTerm:
    """One of the losses: an output, its weight, and which labels it meets.

    With `cells`, the output is a map of cells `stride` pixels apart on the image times `scale`, and meets the
    labels under its cells. Without, it has the image's size, and every `stride`-th of it is taken. With an
    `upsampling` (the layer) the output is the map before it, and meets all labels.
    """

    output: str
    weight: float = 1.0
    stride: int = 1
    scale: float = 1.0
    cells: bool = False
    upsampling: ResizeLike | None = None


class TrainingModel(keras.Model):
    """A model in training: `graph` gives the outputs that `terms` score; outside of training it is `model`.

    The first term is the one that the training score is computed on; without any, the loss is of the graph's output.
    Its own file is of no use: save `model`.
    """

    def __init__(
        self,
        model: keras.Model,
        graph: keras.Model,
        terms: tuple[LossTerm, ...],
        again: Rematerialized | None = None,
    ) -> None:
        # Not cast here: the image stays float32 up to the model's own first layer.
        super().__init__(name=f"{model.name}_training", dtype=model.dtype_policy, autocast=False)
        self.inference, self.graph, self.terms, self.again = model, graph, tuple(terms), again
        self.built = True

    @property
    def backbone(self) -> keras.Model:
        return self.inference.backbone

    def call(self, image, training=None):
        if training and self.again is not None:
            outputs, losses = self.again(image)
            for loss in losses:
                self.add_loss(loss)
            return outputs
        if training:
            return self.graph(image, training=True)
        return self.inference(image, training=False)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        first, *others = self.terms
        if first.upsampling is None:
            labels, outputs, weights = _paired(first, y, y_pred, sample_weight)
            total = super().compute_loss(x, labels, outputs, weights, training)
        else:
            total = sum(self.losses, self._loss_of(first, y, y_pred, sample_weight))
        for term in others:
            total = total + term.weight * self._loss_of(term, y, y_pred, sample_weight)
        return total

    def _loss_of(self, term, y, y_pred, sample_weight):
        loss = keras.losses.get(self.loss)
        in_strips = getattr(loss, "of_upsampled", None) is not None and not loss.label_smoothing
        if term.upsampling is not None and in_strips:
            scores = y_pred[term.output]
            return loss.of_upsampled(y, scores, *_taps(term.upsampling, scores, y), sample_weight)
        labels, outputs, weights = _paired(term, y, y_pred, sample_weight)
        return loss(labels, outputs, weights)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        first = self.terms[0] if self.terms else None
        if isinstance(y_pred, dict) and first.upsampling is not None:
            scores = two_classes(ops.cast(y_pred[first.output], "float32"))
            y_pred = upsampled_class_ids(scores, *_taps(first.upsampling, scores, y))
        elif isinstance(y_pred, dict):
            y, y_pred, sample_weight = _paired(first, y, y_pred, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def meeting(model: keras.Model, values: Any, outputs: Any) -> tuple[Any, Any]:
    """Values of every pixel `(batch, height, width, channels)`, and a model's scores, where its first loss compares.

    Args:
        model: the training model of an `Objective`.
        values: of every pixel, such as a teacher's probabilities.
        outputs: what the training model gave.
    """
    if not isinstance(outputs, dict):
        return values, outputs
    term = model.terms[0]
    if term.upsampling is None:
        return _paired(term, values, outputs, None)[:2]
    return values, _paired(term, values[..., 0], outputs, None)[1]


def _auxiliary(model: keras.Model, recipe: Recipe) -> tuple[keras.Model, tuple[LossTerm, ...]]:
    full = with_auxiliary_head(model, *getattr(model, "second_head", ()))
    outputs, terms, stride = {}, [], recipe.label_stride or 1
    for name, factor in (("logits", 1.0), ("auxiliary", recipe.auxiliary_weight)):
        if _in_strips(full, name, recipe):
            layer = _layer(full, name)
            outputs[name] = layer.input[0]
            terms.append(LossTerm(name, factor, upsampling=layer))
        else:
            outputs[name], cells = _at_stride(full, name, full.output[name], stride)
            terms.append(LossTerm(name, factor, stride, cells=cells))
    return keras.Model(model.input, outputs, name=full.name), tuple(terms)


def _at_stride(model: keras.Model, name: str, logits: Any, stride: int) -> tuple[Any, bool]:
    """The output that a loss at this stride needs, and whether it is a map of cells."""
    layer = _layer(model, name)
    if stride > 1 and isinstance(layer, ResizeLike) and layer.cell_stride == stride:
        return layer.input[0], True
    return logits, False


def _layer(model: keras.Model, name: str) -> keras.layers.Layer | None:
    return next((layer for layer in model.layers if layer.name == name), None)


def _in_strips(model: keras.Model, name: str, recipe: Recipe) -> bool:
    """Whether the logits of this name are too large to be held, and come of bilinear upsampling."""
    layer = _layer(model, name)
    bilinear = isinstance(layer, ResizeLike) and layer.method == "bilinear"
    if not bilinear or recipe.size is None or recipe.label_stride is not None:
        return False
    pixels = recipe.batch_size / (recipe.sampling or 1) * recipe.size[0] * recipe.size[1]
    return pixels * layer.output.shape[-1] * 4 > STRIP_BYTES


def _taps(upsampling: ResizeLike, scores: Any, labels: Any) -> tuple[Taps, Taps]:
    """Where the labels' rows and columns stand in a map of scores."""
    sides = zip(ops.shape(scores)[1:3], ops.shape(labels)[1:3], strict=True)
    return tuple(taps(upsampling.positions(cells, size), cells) for cells, size in sides)


def _multi_scale(
    model: keras.Model, scales: tuple[float, ...], stride: int | None
) -> tuple[keras.Model, tuple[LossTerm, ...]]:
    if not isinstance(model, Segmenter):
        raise ModelError(f"input_scales are for kseg's own models; {model.name} is a {type(model).__name__}")
    image = keras.Input((None, None, 3), name="image")
    maps, resized, fused, upsampling = scale_maps(model, scales, image)
    stride = stride or 1
    cells = upsampling is not None and stride == upsampling.cell_stride
    found = [("fused", fused, 1.0)]
    found += [(f"at_{s:g}".replace(".", "_"), one, s) for s, one in (maps if cells else resized).items()]
    outputs = {
        name: one if cells else upsampled(one, image, upsampling, f"logits_{name}") for name, one, _ in found
    }
    terms = [LossTerm(name, 1.0, stride, scale if cells else 1.0, cells) for name, _, scale in found]
    return keras.Model(image, outputs, name="multi_scale"), tuple(terms)


def _paired(term: LossTerm, labels: Any, outputs: dict[str, Any], weights: Any) -> tuple[Any, Any, Any]:
    """The labels that a term meets, its output at the same places, and the sample weights there."""
    output, stride = outputs[term.output], term.stride
    if term.upsampling is not None:  # for a loss that cannot do without the whole map
        like = ops.reshape(labels, (*ops.shape(labels)[:3], 1))
        return labels, term.upsampling([output, like]), weights
    per_pixel = weights is not None and len(weights.shape) > 1
    if not term.cells:
        weights = weights[:, ::stride, ::stride] if per_pixel else weights
        return labels[:, ::stride, ::stride], output[:, ::stride, ::stride], weights
    rows, columns = (_pixels(side, stride, term.scale) for side in ops.shape(labels)[1:3])
    output = output[:, : ops.shape(rows)[0], : ops.shape(columns)[0]]
    labels = ops.take(ops.take(labels, rows, axis=1), columns, axis=2)
    if per_pixel:
        weights = ops.take(ops.take(weights, rows, axis=1), columns, axis=2)
    return labels, output, weights


def _pixels(side: Any, stride: int, scale: float) -> Any:
    """The pixels under the cells of a map of the scaled image, as `ScaledImage` scales it; those inside only."""
    cells = steps(side, stride)
    there = scaled(cells, scale, least=cells)
    length, there = ops.maximum(stride * cells, 1), ops.maximum(there, 1)
    inside = ops.arange((side - 1) * there // length + 1, dtype="int32")
    return ops.minimum((2 * inside * length + there) // (2 * there), side - 1)  # rounded to the nearest
