"""What of a run goes into its checkpoints beside the model."""

import numpy as np
import pytest

from kseg.data import pipeline
from kseg.errors import ModelError
from kseg.training import Recipe
from kseg.training.compilation import compiled
from kseg.training.optimization.averages import Averages
from kseg.training.run import checkpoint
from kseg.training.run.bad_data import SkippingDataset
from kseg.training.run.run_state import RunState
from kseg.training.steps import Steps


def begun(network, train, ema=0.9, **changes):
    model = network()
    recipe = Recipe(sampling=0.5, batch_size=2, size=(8, 8), **changes)
    parts = compiled(model, recipe, train, 10)
    averages = None if ema is None else Averages(model, ema)
    data = SkippingDataset(train)
    state = RunState(model, parts.twin, parts.loss, parts.metric, averages, data)
    return Steps(parts.twin.model, parts.loss, 1, averages), state


def advance(steps, state, train, count):
    state.begin_epoch()
    source = iter(
        pipeline(train, batch_size=4, size=(8, 8), epochs=None, start_step=state.step, drop_remainder=True)
    )
    for _ in range(count):
        state.add_step(steps(source)["loss"])


def variables(state):
    return [*state.twin.model.variables, *state.twin.model.optimizer.variables, *state.metric.variables,
            *state.averages.values]  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"label_stride": 2}])
def test_everything_comes_back_in_the_midst_of_an_epoch(network, train, tmp_path, changes):
    steps, state = begun(network, train, **changes)
    assert (state.twin.model is state.model) == (not changes)
    advance(steps, state, train, 3)
    state.data.bad[7] = "why"
    facts, arrays = state.collect()
    path = tmp_path / "last.keras"
    checkpoint.save(state.model, path, facts, arrays=arrays, optimizer=state.optimizer_in_model)
    other_steps, other = begun(network, train, **changes)
    other.restore(path, checkpoint.load_state(path))
    assert (other.epoch, other.step, other.loss, other.data.bad) == (0, 3, state.loss, {7: "why"})
    assert np.sum(other.metric.variables[0]) > 0
    for one, two in zip(variables(other), variables(state), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    advance(steps, state, train, 2)
    advance(other_steps, other, train, 2)
    for one, two in zip(variables(other), variables(state), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    assert other.end_epoch() == state.end_epoch()
    assert (other.epoch, other.step, other.loss) == (1, 0, 0.0)


def test_a_new_epoch_begins_with_an_empty_metric(network, train):
    steps, state = begun(network, train)
    advance(steps, state, train, 1)
    state.begin_epoch()  # goes on
    assert np.sum(state.metric.variables[0]) > 0
    state.end_epoch()
    state.begin_epoch()
    assert np.sum(state.metric.variables[0]) == 0


def test_averages_cannot_begin_in_the_midst_of_a_run(network, train, tmp_path):
    _, state = begun(network, train, ema=None)
    facts, arrays = state.collect()
    path = tmp_path / "last.keras"
    checkpoint.save(state.model, path, facts, arrays=arrays)
    _, other = begun(network, train)
    with pytest.raises(ModelError, match="average/0"):
        other.restore(path, facts)


def test_a_checkpoint_of_several_workers_goes_on_with_one(network, train, tmp_path):
    steps, state = begun(network, train)
    advance(steps, state, train, 2)
    facts, arrays = state.collect()
    optimizer = state.twin.model.optimizer.variables
    arrays |= {f"optimizer/{number}": np.asarray(variable) for number, variable in enumerate(optimizer)}
    path = tmp_path / "last.keras"
    checkpoint.save(state.model, path, facts, arrays=arrays, optimizer=False)
    _, other = begun(network, train)
    other.restore(path, checkpoint.load_state(path))
    for one, two in zip(variables(other), variables(state), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
