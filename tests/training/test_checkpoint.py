"""Checkpoints: what they carry, and that a failed write leaves the old one."""

import resource
import shutil
import zipfile
from collections import namedtuple

import keras
import numpy as np
import pytest

from kseg.errors import KsegError, ModelError
from kseg.losses import CrossEntropy
from kseg.training import SGD, checkpoint


@pytest.fixture
def trained(network):
    model = network()
    loss = CrossEntropy(sampling=0.5, seed=1)
    model.compile(SGD(0.1), loss)
    model.train_on_batch(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8)))
    return model, loss


def test_state_optimizer_and_seeds_come_back(trained, network, tmp_path):
    model, loss = trained
    path = tmp_path / "a.keras"
    checkpoint.save(model, path, {"epochs_done": 3})
    assert checkpoint.load_state(path) == {"epochs_done": 3}
    states = checkpoint.seed_states(model, loss)
    assert len(states) == 2  # dropout and sampling
    assert all(state[1] > 0 for state in states)

    other = network()
    other_loss = CrossEntropy(sampling=0.5, seed=9)
    other.compile(SGD(0.1), other_loss)
    checkpoint.load_into(other, path)
    checkpoint.set_seed_states(states, other, other_loss)
    for one, two in zip(other.variables, model.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(other_loss.seed_generator.state, loss.seed_generator.state)


def test_keras_loads_it(trained, tmp_path):
    model, _ = trained
    checkpoint.save(model, tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert int(again.optimizer.iterations) == 1
    image = np.ones((1, 5, 7, 3), "float32")
    np.testing.assert_array_equal(again(image), model(image))


def test_without_the_optimizer(trained, tmp_path):
    model, _ = trained
    checkpoint.save(model, tmp_path / "a.keras", optimizer=False)
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert not again.compiled
    assert model.compiled
    model.train_on_batch(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8)))
    assert int(model.optimizer.iterations) == 2


def write_and_fail(model, path, message):
    before = path.read_bytes()
    with pytest.raises(KsegError, match=message):
        checkpoint.save(model, path, {"new": True})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_too_little_space_is_seen_before(trained, tmp_path, monkeypatch):
    checkpoint.save(trained[0], tmp_path / "a.keras")
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    write_and_fail(trained[0], tmp_path / "a.keras", "MiB free")


def test_a_write_that_breaks_off_leaves_the_old_file(trained, tmp_path):
    path = tmp_path / "a.keras"
    checkpoint.save(trained[0], path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, limits[1]))
    try:
        write_and_fail(trained[0], path, "could not be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_reads_back_damaged_is_not_taken(trained, tmp_path, monkeypatch):
    path = tmp_path / "a.keras"
    checkpoint.save(trained[0], path)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: "model.weights.h5")
    write_and_fail(trained[0], path, "damaged")


def test_other_files_are_no_checkpoints(trained, network, tmp_path):
    plain = tmp_path / "plain.keras"
    network().save(plain)
    (tmp_path / "text.keras").write_text("hello")
    for name in ("plain.keras", "text.keras", "missing.keras"):
        with pytest.raises(ModelError, match=name):
            checkpoint.load_state(tmp_path / name)
    with pytest.raises(ModelError, match=r"text\.keras"):
        checkpoint.load_into(trained[0], tmp_path / "text.keras")
    other = network(classes=5)
    other.save(plain)
    with pytest.raises(ModelError, match="does not fit"):
        checkpoint.load_into(trained[0], plain)
