"""`TrainStep`: one optimizer step, on one device or many, with accumulated gradients and averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from kseg.losses import MapLoss
from kseg.parts import tensorflow as tf
from kseg.training.averages import Averages
from kseg.training.distribution.strategy import synchronised_batch_norm
from kseg.training.teacher import Teacher

if TYPE_CHECKING:
    import tensorflow as tf


class TrainStep:
    """Each call trains a compiled Keras model by one optimizer step.

    Keras's own `fit` would do, but for three things: it starts every epoch at its first batch, it cannot weigh
    the gradients it accumulates, and its loop fails under MultiWorkerMirroredStrategy (keras#20585).

    Args:
        model: a compiled model whose loss is `loss`; create the step under the strategy it was built under.
        loss: tells what share each of the accumulated batches has.
        accumulate: batches an optimizer step. Their gradients are summed in proportion to their valid pixels (to
            the sum of their class weights), so that the step is that of one batch of them all, but for batch
            normalisation, which sees one after the other, and for hard examples, chosen within each.
        averages: updated after every step.
        teacher: another model whose probabilities are learned too. Accumulated batches count by their pixels then.

    Raises:
        tf.errors.OpError: from a call, where the input cannot be read.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: MapLoss,
        accumulate: int = 1,
        averages: Averages | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.model, self.loss, self.accumulate, self.averages = model, loss, accumulate, averages
        self.teacher = teacher
        self.strategy = tf.distribute.get_strategy()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        # One sum of gradients a replica for each variable.
        self._sums = [
            tf.Variable(
                tf.zeros(variable.shape, variable.dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in (model.trainable_variables if accumulate > 1 else ())
        ]
        # Made per instance: a tf.function on the class would keep every model alive.
        self._draw = tf.function(lambda batches: batches.get_next(), autograph=False)
        self._next = tf.function(lambda batches: self._on_batch(batches.get_next()), autograph=False)
        self._batch = tf.function(self._on_batch, autograph=False, reduce_retracing=True)
        self._finish = tf.function(self._finish_step, autograph=False)
        self._unused: set[int] = set()

    def __call__(self, batches: Iterator[Any]) -> dict[str, float]:
        """Train by one step on the next batches; the step's loss over all replicas, and the metrics so far."""
        if self.accumulate == 1:
            loss, _, scores = self._on_next(batches)
            return {"loss": float(loss), **scores}
        parts = [self._on_next(batches) for _ in range(self.accumulate)]
        total = tf.add_n([weight for _, weight, _ in parts])
        if self.loss.reduction == "sum":
            total = tf.ones(())
        self._finish(total)
        loss = tf.math.divide_no_nan(tf.add_n([loss * weight for loss, weight, _ in parts]), total)
        return {"loss": float(loss), **parts[-1][2]}

    def _on_next(self, batches: Iterator[Any]) -> Any:
        """Train on the next batch, or add up its gradients; gives the loss, its weight and the metrics."""
        if self.teacher is None:
            return self._next(batches)
        # The teacher predicts outside of the step's graph: within it, its own graph would wait for a thread of
        # TensorFlow's while it holds one, for ever on a machine with one processor.
        images, labels = self._draw(batches)
        found = iter(
            [
                tf.constant(self.teacher.probabilities(part.numpy()))
                for part in self.strategy.experimental_local_results(images)
            ]
        )
        targets = self.strategy.experimental_distribute_values_from_function(lambda _: next(found))
        return self._batch((images, labels, targets))

    def _on_batch(self, batch: tuple[Any, ...]) -> Any:
        with synchronised_batch_norm(self.model):
            found = self.strategy.run(self._on_replica, args=batch)
        if self.accumulate == 1:
            self._follow()
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], found)

    def _finish_step(self, total: tf.Tensor) -> None:
        self.strategy.run(self._apply, args=(total,))
        self._follow()

    def _follow(self) -> None:
        if self.averages is not None:
            self.averages.update(self.model.optimizer.iterations)

    def _apply(self, weight: tf.Tensor) -> None:
        gradients = [
            None if number in self._unused else tf.math.divide_no_nan(tf.convert_to_tensor(total), weight)
            for number, total in enumerate(self._sums)
        ]
        self._move(gradients)
        for total in self._sums:
            total.assign(tf.zeros_like(total))

    def _move(self, gradients):
        if isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = _overflown_together(gradients)
        self.model.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))

    def _on_replica(
        self, images: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor | None = None
    ) -> tuple[Any, Any, dict[str, Any]]:
        model, optimizer = self.model, self.model.optimizer
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = model.compute_loss(images, labels, outputs, None, training=True)
            if targets is not None:
                loss = self.teacher.joined(loss, model, self.loss, targets, outputs)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        scores = model.compute_metrics(images, labels, outputs)
        if self.teacher is None or self.loss.reduction == "sum":
            channels = tf.nest.flatten(outputs)[0].shape[-1]  # one is of background and object
            overlap = len(labels.shape) == 4
            weight = self.loss.weight(labels, labels.shape[-1] if overlap else max(channels, 2))
        else:
            weight = tf.cast(tf.size(labels), "float32")
        scores = {name: score for name, score in scores.items() if name != "loss"}
        loss, weight = _over_replicas(loss), _over_replicas(weight)
        if self.accumulate == 1:
            self._move(gradients)
            return loss, weight, scores
        for number, (total, gradient) in enumerate(zip(self._sums, gradients, strict=True)):
            if gradient is None:
                self._unused.add(number)
            else:
                total.assign_add(tf.cast(gradient, total.dtype) * weight)
        return loss, weight, scores


def _overflown_together(gradients):
    """The gradients, infinite on all replicas where they are not finite on one.

    Keras's LossScaleOptimizer leaves a step out where it meets such a gradient, but asks the first replica only:
    another's would get into the weights, and workers would wait for each other for ever.
    """
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        return gradients
    finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients if gradient is not None]
    overflown = _over_replicas(tf.cast(~tf.reduce_all(tf.stack(finite)), tf.float32)) > 0
    return [
        None if gradient is None else tf.where(overflown, tf.cast(float("inf"), gradient.dtype), gradient)
        for gradient in gradients
    ]


def _over_replicas(value: tf.Tensor) -> tf.Tensor:
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)
