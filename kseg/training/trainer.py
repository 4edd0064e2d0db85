"""`Trainer`: one training from its first step to its last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.data import Dataset, pipeline
from kseg.data.masks import kind_of
from kseg.errors import ModelError
from kseg.losses import MapLoss
from kseg.metrics import IoU, MeanIoU
from kseg.models.structure.model_parts import layer_multipliers
from kseg.optimizers import with_learning_rates
from kseg.parts import tensorflow as tf
from kseg.training.averages import Averages
from kseg.training.compilation import optimizer_of
from kseg.training.distribution.strategy import assign_total, distributed, place
from kseg.training.objective import objective_of
from kseg.training.recipes.recipe import Recipe
from kseg.training.run import checkpoint
from kseg.training.run.bad_data import SkippingDataset
from kseg.training.run.compatibility import batch_size
from kseg.training.teacher import Teacher
from kseg.training.train_step import TrainStep
from kseg.training.validation import Validation

if TYPE_CHECKING:
    import tensorflow as tf


class Trainer:
    """A model, its loss, optimizer, metric and data: what is trained, and where the training stands.

    `run` trains: epochs of steps, each with a validation at its end, and callbacks as in Keras's `fit`.
    `state` is everything that is not in the model's own file, and `restore` puts it back, so that training
    continues exactly where it was. Create it under the strategy of the model.

    Args:
        model: the model, its frozen parts frozen.
        recipe: the settings.
        train, val: data sets to train on, and to validate on after an epoch (or None).
        loss: the loss.
        length: number of steps of an epoch.
        optimizer: replaces the recipe's optimizer, unless None.
        learning_rates: factor on the learning rate by part of the model.
        metrics: Keras metrics of labels and logits, beside the mean IoU of the training batches.
        teacher: another model that the model learns from, beside the labels, or None.

    Attributes:
        model: what is saved, and validated.
        training_model: what is trained: the model itself, or what its objective makes of it.
        epoch: whole epochs done.
        step: steps done of the epoch after these.
        loss_sum: the sum of those steps' losses.

    Example:
    ```python
    trainer = kseg.training.Trainer(model, recipe, train, val, kseg.losses.CrossEntropy(), length=100)
    trainer.run(keras.callbacks.CallbackList(model=model))
    ```
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        train: Dataset | SkippingDataset,
        val: Dataset | SkippingDataset | None,
        loss: MapLoss,
        length: int,
        *,
        optimizer: keras.optimizers.Optimizer | None = None,
        learning_rates: Mapping[str, float] | None = None,
        metrics: Sequence[keras.metrics.Metric] = (),
        teacher: Teacher | None = None,
    ) -> None:
        self.model, self.recipe, self.train, self.val = model, recipe, train, val
        self.loss, self.length = loss, length
        self.epoch, self.step, self.loss_sum = 0, 0, 0.0
        if hasattr(model, "palette"):  # they are saved with the model
            model.classes, model.palette = train.classes, train.palette
        trained = objective_of(model, recipe)
        self.training_model, self.own_layers = trained.model, trained.own_layers
        if kind_of(train).multilabel:
            self.metric = IoU(train.classes, train.ignore_label, name="mean_iou", mode="multilabel")
        else:
            self.metric = MeanIoU(train.num_classes, train.ignore_label)
        self.metrics = [self.metric, *metrics]
        if optimizer is None:
            optimizer = optimizer_of(model, [*model.layers, *self.own_layers], recipe, length)
        if learning_rates:
            factors = layer_multipliers(model, learning_rates, self.own_layers)
            optimizer = with_learning_rates(optimizer, factors)
        # Not by XLA, which compiles again for every size of whole images and has no kernel for some operations.
        self.training_model.compile(optimizer, loss, metrics=self.metrics, jit_compile=False)
        self.averages = None if recipe.ema is None else Averages(model, recipe.ema)
        self._train_step = TrainStep(
            self.training_model, self.loss, recipe.accumulate, self.averages, teacher
        )
        self._validation = None if val is None else Validation(model, val, loss)

    def run(self, callbacks: keras.callbacks.CallbackList) -> None:
        """Train from where the training stands to the last epoch.

        Args:
            callbacks: the Keras callbacks to call.
        """
        batches = iter(self._batches())
        callbacks.on_train_begin()
        while self.epoch < self.recipe.epochs:
            epoch = self.epoch
            if not self.step:  # not where the run resumes within an epoch
                for metric in self.metrics:
                    metric.reset_state()
            callbacks.on_epoch_begin(epoch)
            while self.step < self.length:
                number = self.step
                callbacks.on_train_batch_begin(number)
                logs = self._train_step(batches)
                self.step, self.loss_sum = self.step + 1, self.loss_sum + logs["loss"]
                callbacks.on_train_batch_end(number, {**logs, "loss": self.loss_sum / self.step})
            logs = {"loss": self.loss_sum / max(self.step, 1)}
            for metric in self.metrics:
                result = metric.result()
                logs |= result if isinstance(result, dict) else {metric.name: result}
            logs = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
            self.epoch, self.step, self.loss_sum = epoch + 1, 0, 0.0
            due = self.epoch % self.recipe.validate_every == 0 or self.epoch == self.recipe.epochs
            if due and self._validation is not None:
                with self.with_averages():
                    logs |= self._validation()
            callbacks.on_epoch_end(epoch, logs)
            if self.training_model.stop_training:  # EarlyStopping
                break
        callbacks.on_train_end()

    def _batches(self) -> Any:
        """The batches from the present step on, without end; every device gets its part of each."""
        recipe = self.recipe

        def of(parts: int, own: range) -> tf.data.Dataset:
            return pipeline(
                self.train,
                batch_size=batch_size(recipe),
                size=recipe.size,
                augment=recipe.augmentation,
                seed=recipe.seed,
                shuffle=True,
                epochs=None,
                start_step=(self.epoch * self.length + self.step) * recipe.accumulate,
                drop_remainder=True,
                parts=parts,
                own=own,
            )

        return distributed(of)

    def with_averages(self) -> AbstractContextManager[None]:
        """Give the model its averaged weights, if it keeps any, within a `with` block.

        Returns:
            A context manager.
        """
        return nullcontext() if self.averages is None else self.averages.applied()

    @property
    def optimizer_in_model(self) -> bool:
        """Whether the optimizer goes into the model's own file, where Keras finds it too.

        Not where another model is trained than is saved; nor where the chief of several workers saves alone, as
        the others would have to take part.
        """
        return self.training_model is self.model and place()[1] == 1

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Collect what `checkpoint.save` keeps beside the model; every worker must call it.

        Returns:
            A dict of JSON values, and a dict of arrays.
        """
        facts: dict[str, Any] = {
            "epochs_done": self.epoch,
            "step": self.step,
            "loss": self.loss_sum,
            "seeds": checkpoint.seed_states(self.training_model, self.loss),
        }
        if isinstance(self.train, SkippingDataset):
            facts["bad"] = {str(index): reason for index, reason in self.train.bad.items()}
        arrays = {name: np.asarray(variable) for name, variable in self._variables().items()}
        if self.averages is not None:
            arrays |= self.averages.to_arrays()
        return facts, arrays

    def restore(self, path: Path, facts: dict[str, Any]) -> None:
        """Put everything back as `state` found it.

        Args:
            path: path of the checkpoint.
            facts: the JSON values of `state`.

        Raises:
            ModelError: the checkpoint does not fit or is damaged.
        """
        with checkpoint.damage_errors(path):
            arrays = checkpoint.load_arrays(path)
            elsewhere = any(name.startswith("optimizer/") for name in arrays)
            checkpoint.load_into(self.model, path, optimizer=not elsewhere)
            checkpoint.set_seed_states(facts.get("seeds", []), self.training_model, self.loss)
            self.epoch, self.step = facts["epochs_done"], facts.get("step", 0)
            self.loss_sum = facts.get("loss", 0.0)
            if isinstance(self.train, SkippingDataset):
                self.train.bad.update({int(index): reason for index, reason in facts.get("bad", {}).items()})
            variables = self._variables()
            metrics = [name for name in variables if name.startswith("metric/")]
            try:
                for name in variables.keys() - set(metrics):
                    variables[name].assign(arrays[name])
                if self.optimizer_in_model:  # but a checkpoint of several workers has it among the arrays
                    for number, variable in enumerate(self.training_model.optimizer.variables):
                        variable.assign(arrays.get(f"optimizer/{number}", variable))
                assign_total([variables[name] for name in metrics], [arrays[name] for name in metrics])
                if self.averages is not None:
                    self.averages.from_arrays(arrays)
            except KeyError as error:
                raise ModelError(
                    f"{path}: this checkpoint lacks {error} and cannot go on with these settings."
                ) from None

    def _variables(self) -> dict[str, Any]:
        """Variables that are not in the model's own file, by their name in the checkpoint."""
        found: dict[str, Any] = {}
        if self.step:  # between two epochs the metrics are empty
            counts = [variable for metric in self.metrics for variable in metric.variables]
            found |= {f"metric/{number}": variable for number, variable in enumerate(counts)}
        own = [variable for layer in self.own_layers for variable in layer.variables]
        own = [variable for variable in own if not variable.path.endswith("seed_generator_state")]
        found |= {f"twin/{number}": variable for number, variable in enumerate(own)}
        if not self.optimizer_in_model:
            optimizer = self.training_model.optimizer
            found |= {f"optimizer/{number}": v for number, v in enumerate(optimizer.variables)}
        return found
