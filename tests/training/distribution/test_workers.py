"""Several workers: two processes that train over the loopback interface."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.training.distribution import workers

# The version whose multi-worker faults (keras#20585) kseg's own loop goes around. When this fails, see whether
# Keras's `fit` has learnt it, and run the slow tests below.
WRITTEN_FOR = "3.15"

SCRIPT = """
import importlib.util, json, os, signal, sys
conftest, out, name, kill = sys.argv[1:5]
spec = importlib.util.spec_from_file_location("shared", conftest)
shared = importlib.util.module_from_spec(spec); spec.loader.exec_module(shared)
import kseg
from kseg.training import Recipe, StopOnNaN, fit, strategy
begin = StopOnNaN.on_train_batch_end
def die(self, batch, logs=None):
    if kill == f"{self._epoch}/{batch}": os.kill(os.getpid(), signal.SIGKILL)
    begin(self, batch, logs)
StopOnNaN.on_train_batch_end = die
recipe = Recipe(optimizer="sgd", epochs=2, steps_per_epoch=5, seed=5, size=(16, 24), batch_size=4, mirror=True,
                learning_rate=0.05, ema=0.9)
try:
    with strategy(name):
        model = shared.network.__wrapped__()()
        model.get_layer("dropout").rate = 0.0
        fit(model, recipe, shared.blocks("train", 18), shared.blocks("val", 5, 1), out, checkpoint_every="1",
            tensorboard=False)
except kseg.KsegError as error:
    print(f"stopped: {error}", file=sys.stderr)
    sys.exit(2)
"""


def fail_in(folder):
    folder.mkdir()
    (folder / "half").write_text("")
    raise ValueError("failed")


def test_one_worker_is_the_chief(tmp_path):
    with workers.together() as chief:
        assert chief
    with (
        pytest.raises(ValueError, match="failed"),
        workers.undone_on_failure(tmp_path / "run", replace=False),
    ):
        fail_in(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_must_have_the_same_settings(tmp_path, monkeypatch):
    run = {"recipe": {"learning_rate": 0.1}, "start": {"root": "here"}}
    sums = []

    def of_two(other):
        """The sum over this worker and another, whose fingerprint was `other`, or is the same."""

        def total(values):
            sums.append(values)
            theirs = values.copy()
            if other is not None and len(values) > 1:
                theirs[3] = other
            return values + theirs

        monkeypatch.setattr(workers, "sum_over_workers", total)

    monkeypatch.setattr(workers, "place", lambda: (0, 2))
    of_two(None)
    assert workers.open_run(tmp_path, run, True) == {}
    (tmp_path / "recipe.json").unlink()
    same = sums[-1][3]
    of_two(same)
    assert workers.open_run(tmp_path, {**run, "start": {"root": "there"}}, True) == {}
    for changed, also in (({"recipe": {"learning_rate": 0.2}}, None), ({}, ["500"])):
        with pytest.raises(SettingsError, match="different settings"):
            workers.open_run(tmp_path, {**run, **changed}, True, also)


def test_the_loop_is_for_this_keras():
    assert keras.__version__.startswith(WRITTEN_FOR)


def start(out, name="multiworker", addresses=None, index=0, kill="never"):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if addresses:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    words = [
        sys.executable,
        "-c",
        SCRIPT,
        str(Path(__file__).parents[1] / "conftest.py"),
        str(out),
        name,
        kill,
    ]
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)


def free_addresses():
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return found


def finish(process):
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said[-3000:]


@pytest.mark.slow
def test_two_processes_train_as_one_and_survive_the_death_of_either(tmp_path):
    finish(start(tmp_path / "one", "none"))
    addresses = free_addresses()
    pair = [
        start(tmp_path / "two", addresses=addresses, index=k, kill="1/2" if k else "never") for k in range(2)
    ]
    assert pair[1].wait(900) == -signal.SIGKILL
    killed = time.monotonic()
    _, said = pair[0].communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert pair[0].returncode == 2
    assert f"worker 1 ({addresses[1]}) stopped answering" in said
    assert kseg_state(tmp_path / "two")["step"] in (2, 3)

    addresses = free_addresses()
    pair = [start(tmp_path / "two", addresses=addresses, index=k) for k in range(2)]
    for process in pair:
        finish(process)
    assert sorted(os.listdir(tmp_path / "two")) == ["best.keras", "last.keras", "metrics.csv", "recipe.json"]
    for name in ("last", "best"):
        one, two = (keras.saving.load_model(tmp_path / run / f"{name}.keras") for run in ("one", "two"))
        for left, right in zip(two.get_weights(), one.get_weights(), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def kseg_state(folder):
    from kseg.training.run import checkpoint

    return checkpoint.load_state(folder / "last.keras")
