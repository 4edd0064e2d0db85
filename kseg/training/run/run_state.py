"""`RunState`: where a run stands between two steps, to and from a checkpoint."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.losses import CrossEntropy
from kseg.training.distribution.strategy import assign_total, place
from kseg.training.optimization.averages import Averages
from kseg.training.run import checkpoint
from kseg.training.run.bad_data import SkippingDataset
from kseg.training.twin import Twin


class RunState:
    """Everything of a run that is not in the model's own file.

    Attributes:
        epoch: whole epochs done.
        step: steps done of the epoch after these.
        loss: the sum of those steps' losses.

    Args:
        model: what is saved.
        twin: what is trained; compiled.
        loss: its loss, which may have a seed generator.
        metric: its metric.
        averages: the moving averages of `model`, if any.
        data: the training data, if bad files are skipped.
    """

    def __init__(
        self,
        model: keras.Model,
        twin: Twin,
        loss: CrossEntropy,
        metric: keras.Metric,
        averages: Averages | None = None,
        data: SkippingDataset | None = None,
    ):
        self.model, self.twin, self.cross_entropy, self.metric = model, twin, loss, metric
        self.averages, self.data = averages, data
        self.epoch, self.step, self.loss = 0, 0, 0.0

    @property
    def optimizer_in_model(self) -> bool:
        """Whether the optimizer goes into the model's own file, where Keras finds it too.

        Not where another model is trained than is saved; nor where the chief of several workers saves alone, as
        the others would have to take part.
        """
        return self.twin.model is self.model and place()[1] == 1

    def begin_epoch(self) -> None:
        """Empty the metric, but for an epoch that goes on in its midst."""
        if not self.step:
            self.metric.reset_state()

    def add_step(self, loss: float) -> None:
        self.step, self.loss = self.step + 1, self.loss + loss

    def end_epoch(self) -> dict[str, float]:
        """The epoch's mean loss and its score; the state moves on to the next epoch."""
        logs = {"loss": self.loss / max(self.step, 1), self.metric.name: float(self.metric.result())}
        self.epoch, self.step, self.loss = self.epoch + 1, 0, 0.0
        return logs

    def with_averages(self) -> AbstractContextManager[None]:
        """Within it the model has its averaged weights, if it keeps any."""
        return nullcontext() if self.averages is None else self.averages.applied()

    def collect(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `checkpoint.save` keeps: JSON's part and the arrays. Every worker must call it."""
        state: dict[str, Any] = {
            "epochs_done": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "seeds": checkpoint.seed_states(self.twin.model, self.cross_entropy),
        }
        if self.data is not None:
            state["bad"] = {str(index): reason for index, reason in self.data.bad.items()}
        arrays = {name: np.asarray(variable) for name, variable in self._variables().items()}
        if self.averages is not None:
            arrays |= self.averages.to_arrays()
        return state, arrays

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        """Put model, optimizer and everything else back as `collect` found them; ModelError where that cannot be."""
        with checkpoint.damage_told(path):
            self._restore(path, state)

    def _restore(self, path: Path, state: dict[str, Any]) -> None:
        arrays = checkpoint.load_arrays(path)
        checkpoint.load_into(
            self.model, path, optimizer=not any(name.startswith("optimizer/") for name in arrays)
        )
        checkpoint.set_seed_states(state.get("seeds", []), self.twin.model, self.cross_entropy)
        self.epoch, self.step, self.loss = state["epochs_done"], state.get("step", 0), state.get("loss", 0.0)
        if self.data is not None:
            self.data.bad.update({int(index): reason for index, reason in state.get("bad", {}).items()})
        try:
            self._fill(arrays)
        except KeyError as error:
            raise ModelError(
                f"{path}: this checkpoint lacks {error} and cannot go on with these settings."
            ) from None

    def _fill(self, arrays: dict[str, np.ndarray]) -> None:
        variables = self._variables()
        metrics = [name for name in variables if name.startswith("metric/")]
        for name in variables.keys() - set(metrics):
            variables[name].assign(arrays[name])
        if self.optimizer_in_model:  # but a checkpoint of several workers has it among the arrays
            for number, variable in enumerate(self.twin.model.optimizer.variables):
                variable.assign(arrays.get(f"optimizer/{number}", variable))
        assign_total([variables[name] for name in metrics], [arrays[name] for name in metrics])
        if self.averages is not None:
            self.averages.from_arrays(arrays)

    def _variables(self) -> dict[str, Any]:
        """Variables that are not in the model's own file, by their name in the checkpoint."""
        found = {}
        if self.step:  # between two epochs the metric is empty
            found |= {f"metric/{number}": variable for number, variable in enumerate(self.metric.variables)}
        own = [variable for layer in self.twin.own_layers for variable in _kept(layer)]
        found |= {f"twin/{number}": variable for number, variable in enumerate(own)}
        if not self.optimizer_in_model:
            optimizer = self.twin.model.optimizer
            found |= {f"optimizer/{number}": v for number, v in enumerate(optimizer.variables)}
        return found


def _kept(layer: keras.layers.Layer) -> list[Any]:
    return [variable for variable in layer.variables if not variable.path.endswith("seed_generator_state")]
