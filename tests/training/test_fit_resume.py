"""Going on with a run that was broken off."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import KsegError, SettingsError
from kseg.training import fit, read_metrics


class Killed(Exception):
    pass


def killed_in_epoch(epoch, monkeypatch, step=1):
    """Make the process 'die' during an epoch: nothing of fit runs after that."""
    begin = kseg.training.Progress.on_train_batch_end

    def die(self, batch, logs=None):
        if self._epoch == epoch and batch == step:
            raise Killed
        begin(self, batch, logs)

    monkeypatch.setattr(kseg.training.Progress, "on_train_batch_end", die)


@pytest.mark.full
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"optimizer": "sgd", "learning_rate": 0.1, "validate_every": 3},
    ],
)
def test_going_on_is_bit_equal_to_never_having_stopped(
    network, train, val, tmp_path, monkeypatch, changes, small_recipe
):
    recipe = small_recipe.replace(**changes)
    whole = network()
    expected = fit(whole, recipe, train, val, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(2, patch)
        with pytest.raises(Killed):
            fit(network(), recipe, train, val, tmp_path / "b", tensorboard=False)
    keras.utils.set_random_seed(99)
    resumed = network()
    rows = fit(resumed, recipe, train, val, tmp_path / "b", tensorboard=False)
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for row, other in zip(rows, expected, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize(
    ("changes", "step", "done"),
    [
        pytest.param({}, 2, 2, marks=pytest.mark.slow),
        ({"accumulate": 2, "batch_size": 2, "ema": 0.9, "optimizer": "sgd"}, 3, 4),
        pytest.param({"label_stride": 2}, 0, 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.full
def test_going_on_in_the_midst_of_an_epoch_is_bit_equal(
    network, small_recipe, train, val, tmp_path, monkeypatch, capfd, changes, step, done
):
    recipe = small_recipe.replace(epochs=2, steps_per_epoch=5, **changes)
    whole = network()
    expected = fit(whole, recipe, train, val, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(1, patch, step)
        with pytest.raises(Killed):
            fit(network(), recipe, train, val, tmp_path / "b", tensorboard=False, checkpoint_every="2")
    resumed = network()
    rows = fit(resumed, recipe, train, val, tmp_path / "b", tensorboard=False, checkpoint_every="2")
    assert f"going on after epoch 1{f' and {done} steps' if done else ''} of 2" in capfd.readouterr().err
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for row, other in zip(rows, expected, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
    best = [keras.saving.load_model(tmp_path / run / "best.keras").get_weights() for run in "ab"]
    for one, two in zip(*best, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.full
def test_more_epochs_than_at_first_are_as_if_always_meant(
    network, train, tmp_path, monkeypatch, small_recipe
):
    recipe = small_recipe.replace(schedule="constant", warmup_steps=0, epochs=3, steps_per_epoch=4)
    whole = network()
    fit(whole, recipe, train, None, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(1, patch, 2)
        with pytest.raises(Killed):
            fit(
                network(),
                recipe.replace(epochs=2),
                train,
                None,
                tmp_path / "b",
                tensorboard=False,
                checkpoint_every="1",
            )
    resumed = network()
    fit(resumed, recipe, train, None, tmp_path / "b", tensorboard=False)
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.full
def test_a_finished_run_says_so(network, train, val, tmp_path, capfd, small_recipe):
    first = network()
    history = fit(first, small_recipe.replace(epochs=1), train, val, tmp_path, tensorboard=False)
    capfd.readouterr()
    second = network()
    assert fit(second, small_recipe.replace(epochs=1), train, val, tmp_path, tensorboard=False) == history
    assert "finished" in capfd.readouterr().err
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(SettingsError, match="batch_size"):
        fit(network(), small_recipe.replace(batch_size=5), train, val, tmp_path)
    with pytest.raises(SettingsError, match="another process"), kseg.training.run.run_folder.alone(tmp_path):
        fit(network(), small_recipe, train, val, tmp_path)
    with pytest.raises(SettingsError, match="a number of steps"):
        fit(network(), small_recipe, train, val, tmp_path, checkpoint_every="")


@pytest.mark.full
def test_a_checkpoint_that_cannot_be_restored_gives_way_to_the_one_before(
    network, train, tmp_path, small_recipe, capfd
):
    recipe = small_recipe.replace(epochs=3, steps_per_epoch=2)
    whole = network()
    fit(whole, recipe, train, None, tmp_path / "a", tensorboard=False, keep=2)
    fit(network(), recipe.replace(epochs=2), train, None, tmp_path / "b", tensorboard=False, keep=2)
    other = network(classes=5)
    other.compile("sgd")
    kseg.training.run.checkpoint.save(
        other, tmp_path / "b" / "last.keras", {"epochs_done": 2, "seeds": []}, keep=2
    )
    capfd.readouterr()
    # The schedule of 2 epochs is another than that of 3, so only where the run stands is compared.
    rows = fit(network(), recipe, train, None, tmp_path / "b", tensorboard=False, keep=2)
    said = capfd.readouterr().err
    assert "last.1.keras, takes its place" in said
    assert "going on after epoch 2 of 3" in said
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_a_run_folder_that_is_deleted_meanwhile(network, train, tmp_path, small_recipe, monkeypatch):
    begin = kseg.training.Progress.on_train_batch_end

    def delete(self, batch, logs=None):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        begin(self, batch, logs)

    monkeypatch.setattr(kseg.training.Progress, "on_train_batch_end", delete)
    with pytest.raises(KsegError, match=r"run"):
        fit(network(), small_recipe, train, None, tmp_path / "run")
    assert not (tmp_path / "run" / "last.keras").exists()


SCRIPT = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("shared", sys.argv[1])
shared = importlib.util.module_from_spec(spec); spec.loader.exec_module(shared)
import keras, kseg
kill = int(sys.argv[3])
begin = kseg.training.Progress.on_train_batch_end
def die(self, batch, logs=None):
    if 4 * self._epoch + batch == kill: os.kill(os.getpid(), signal.SIGKILL)
    begin(self, batch, logs)
kseg.training.Progress.on_train_batch_end = die
model = shared.network.__wrapped__()()
recipe = kseg.training.Recipe(epochs=3, batch_size=4, size=(16, 24), seed=5, deterministic=True, mirror=True)
train, val = shared.blocks("train", 18), shared.blocks("val", 5, 1)
kseg.training.fit(model, recipe, train, val, sys.argv[2], tensorboard=False, checkpoint_every="1", keep=2)
"""


@pytest.mark.slow
def test_bit_equal_after_a_real_kill(tmp_path):
    conftest = Path(__file__).with_name("conftest.py")

    def start(folder, kill):
        arguments = [sys.executable, "-c", SCRIPT, str(conftest), str(tmp_path / folder), str(kill)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    assert start("a", -1).returncode == 0
    for step in (2, 4, 9):  # in the first, at the start of the second and in the third epoch
        assert start("b", step).returncode == -signal.SIGKILL
    assert [row["epoch"] for row in read_metrics(tmp_path / "b" / "metrics.csv")] == [1, 2]
    assert start("b", -1).returncode == 0
    one, two = (keras.saving.load_model(tmp_path / name / "last.keras").get_weights() for name in "ab")
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)
