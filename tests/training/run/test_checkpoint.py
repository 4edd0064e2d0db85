"""Checkpoints: what they carry, and that a failed write leaves the old one."""

import os
import resource
import shutil
from collections import namedtuple

import keras
import numpy as np
import pytest

from kseg.errors import KsegError, ModelError
from kseg.losses import CrossEntropy
from kseg.training import SGD
from kseg.training.run import checkpoint


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


def test_no_view_of_a_buffer_reaches_a_traceback(trained, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(checkpoint, "write", lambda path, content, keep: written.append(content))
    checkpoint.save(trained[0], tmp_path / "a.keras")
    assert [type(content) for content in written] == [bytes]  # see `_serialised`: Python 3.12.1 crashes on a view


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
    sync = checkpoint.sync

    def damaging(part):
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1  # one bit
        part.write_bytes(content)
        sync(part)

    monkeypatch.setattr(checkpoint, "sync", damaging)
    write_and_fail(trained[0], path, "not what was written")


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


@pytest.mark.full
def test_an_optimizer_of_another_kind_is_not_passed_over(trained, network, tmp_path):
    checkpoint.save(trained[0], tmp_path / "a.keras")
    other = network()
    other.compile("adam", "mse")
    with pytest.raises(ModelError, match=r"does not fit the model.*adam"):
        checkpoint.load_into(other, tmp_path / "a.keras")


def test_arrays_come_back(trained, tmp_path):
    path = tmp_path / "a.keras"
    checkpoint.save(trained[0], path, arrays={"a/0": np.arange(3), "b": np.float32(2)})
    found = checkpoint.load_arrays(path)
    assert list(found) == ["a/0", "b"]
    np.testing.assert_array_equal(found["a/0"], [0, 1, 2])


def states(folder):
    return {path.name: checkpoint.load_state(path)["n"] for path in folder.glob("*.keras")}


def test_the_last_ones_are_kept_and_a_damaged_one_is_passed_over(trained, tmp_path, capsys):
    path = tmp_path / "last.keras"
    assert checkpoint.newest(tmp_path) is None
    for number in range(5):
        checkpoint.save(trained[0], path, {"n": number}, keep=3)
    assert states(tmp_path) == {"last.keras": 4, "last.1.keras": 3, "last.2.keras": 2}
    assert checkpoint.newest(tmp_path) == path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # a new file: the old one may have a second name
    path.write_bytes(content)
    assert checkpoint.newest(tmp_path) == tmp_path / "last.1.keras"
    assert checkpoint.recovered(tmp_path) == path
    assert "last.1.keras, takes its place" in capsys.readouterr().err
    assert states(tmp_path) == {"last.keras": 3, "last.2.keras": 2}  # no whole one goes for the damaged one
    path.unlink()
    assert checkpoint.exists(tmp_path)
    assert checkpoint.recovered(tmp_path) == path
    assert states(tmp_path) == {"last.keras": 2}
    assert checkpoint.recovered(tmp_path) == path
    shutil.copy(path, tmp_path / "last.1.keras")
    path.write_bytes(b"")
    for other in tmp_path.glob("last.*.keras"):
        other.write_bytes(b"")
    with pytest.raises(ModelError, match=r"last\.keras.*last\.1\.keras"):
        checkpoint.newest(tmp_path)


def test_keeping_fewer_removes_the_others(trained, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("a file system without second names")

    monkeypatch.setattr(os, "link", refuse)
    for number in range(4):
        checkpoint.save(trained[0], tmp_path / "last.keras", {"n": number}, keep=3)
    checkpoint.save(trained[0], tmp_path / "last.keras", {"n": 4}, keep=2)
    assert states(tmp_path) == {"last.keras": 4, "last.1.keras": 3}
    checkpoint.save(trained[0], tmp_path / "last.keras", {"n": 5})
    assert states(tmp_path) == {"last.keras": 5}
