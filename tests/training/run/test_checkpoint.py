"""Checkpoints: what they carry, and that a failed write leaves the old one."""

import ctypes
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections import namedtuple

import h5py
import keras
import numpy as np
import pytest

from kseg.errors import KsegError, ModelError
from kseg.losses import CrossEntropy
from kseg.training import SGD
from kseg.training.run import checkpoint


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


def test_arrays_come_back(trained, tmp_path):
    path = tmp_path / "a.keras"
    checkpoint.save(trained[0], path, arrays={"a/0": np.arange(3), "b": np.float32(2)})
    found = checkpoint.load_arrays(path)
    assert list(found) == ["a/0", "b"]
    np.testing.assert_array_equal(found["a/0"], [0, 1, 2])


def rewritten(path, name, content):
    """The checkpoint with another member of that name."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, old in members.items():
            archive.writestr(each, content if each == name else old)
    return members[name]


@pytest.mark.parametrize(
    "text", ["[]", "[" * 100_000, '{"epochs_done": "x"}', '{"step": -1}', '{"step": true}']
)
def test_a_state_that_is_none(trained, tmp_path, text):
    path = tmp_path / "last.keras"
    checkpoint.save(trained[0], path, {"epochs_done": 1})
    rewritten(path, checkpoint._STATE, text)
    with pytest.raises(ModelError, match=r"last\.keras: not a checkpoint of a kseg training"):
        checkpoint.load_state(path)


def test_checkpoints_made_to_deceive(trained, network, tmp_path):
    path = tmp_path / "last.keras"
    checkpoint.save(trained[0], path, {"epochs_done": 1})
    content = io.BytesIO(rewritten(path, "model.weights.h5", b""))
    with h5py.File(content, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    rewritten(path, "model.weights.h5", content.getvalue())
    with pytest.raises(ModelError, match="link to another place"):
        checkpoint.load_into(network(), path)
    rewritten(path, checkpoint._ARRAYS, bytes(80 << 20))
    with pytest.raises(ModelError, match="would unpack to"):
        checkpoint.load_state(path)


def test_ctrl_c_while_writing_leaves_the_old_file_only(tmp_path, monkeypatch):
    path = tmp_path / "last.keras"
    path.write_bytes(b"old")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("last.keras", b"old")]


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


FULL_DISK = """
mount -t tmpfs -o size=160k tmpfs "$2" || exit 77
exec "$0" -c "$1" "$2"
"""
FILL = """
import os, sys, keras, numpy as np
from pathlib import Path
import shutil
from kseg.errors import KsegError
from kseg.training.run import checkpoint
folder = Path(sys.argv[1])
path = folder / "last.keras"
image = keras.Input((8, 8, 3))
model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
checkpoint.save(model, path, {"n": 1}, arrays={"a": np.zeros(8000, np.uint8)})
before = path.read_bytes()
(folder / "other").write_bytes(bytes(160 * 1024 - 2 * len(before)))
def refused(what):
    try:
        checkpoint.save(model, path, {"n": 2}, arrays={"a": np.zeros(64000, np.uint8)})
    except KsegError as error:
        assert what in str(error), error
    else:
        raise SystemExit("written")
    assert path.read_bytes() == before
    assert checkpoint.load_state(path) == {"n": 1}
    assert sorted(os.listdir(folder)) == ["last.keras", "other"]
refused("MiB free")
usage = shutil.disk_usage(folder)
checkpoint.shutil.disk_usage = lambda _: usage._replace(free=10**9)  # filled by another between look and write
refused("No space left on device")
print("intact")
"""


def on_a_small_disk(folder, old, new):
    """In a child process: 0 if a checkpoint that does not fit leaves the old one, 77 if nothing can be mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_user = 0 if os.geteuid() == 0 else 0x10000000
    recursively_private = 0x44000
    if libc.unshare(0x20000 | new_user) or libc.mount(b"none", b"/", None, recursively_private, None):
        return 77
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=160k"):
        return 77
    path = folder / "last.keras"
    checkpoint.write(path, old)
    looks = shutil.disk_usage
    for usage, what in (
        (looks, "MiB free"),
        (lambda at: looks(at)._replace(free=10**9), "No space left on device"),
    ):
        shutil.disk_usage = usage  # the second: filled by another between look and write
        with pytest.raises(KsegError, match=what):
            checkpoint.write(path, new)
        with pytest.raises(KsegError, match=r"metrics\.csv: could not be written \(No space left on device"):
            checkpoint.write_text(folder / "metrics.csv", "1,2\n" * 40_000)
        assert path.read_bytes() == old
        assert os.listdir(folder) == ["last.keras"]
    return 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system as Linux does")
def test_a_full_disk_leaves_the_old_file(trained, tmp_path):
    """A file system of 160 KB in memory, in a namespace of its own; where nobody may mount, the limit on file sizes
    (`test_a_write_that_breaks_off_leaves_the_old_file`) has to do."""
    old, new = (
        bytes(checkpoint._serialised(trained[0], {}, {"a": np.zeros(n, "uint8")}, True)) for n in (1, 130_000)
    )
    assert len(old) < 120_000 < len(new)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = on_a_small_disk(tmp_path, old, new)
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 77:
        pytest.skip("this system lets nobody mount")
    assert code == 0


@pytest.mark.slow
def test_a_full_disk_from_model_to_file(tmp_path):
    """The same with a model and Keras, in a program of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no file system can be mounted")
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        FULL_DISK,
        sys.executable,
        FILL,
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "intact" not in done.stdout and ("unshare" in done.stderr or done.returncode == 77):
        pytest.skip(f"this system lets nobody mount: {done.stderr.strip()[-100:]}")
    assert done.stdout.strip() == "intact", done.stderr[-2000:]


def killed_while_writing(model, folder, times):
    """Write checkpoint after checkpoint in child processes that are killed at some moment of it."""
    random, path = np.random.default_rng(1), folder / "last.keras"
    ballast = {"a": random.integers(0, 256, 2 << 20, dtype=np.uint8)}
    contents = [bytes(checkpoint._serialised(model, {"n": n}, ballast, False)) for n in range(2)]
    checkpoint.write(path, contents[0], keep=2)
    spent = time.monotonic()
    checkpoint.write(path, contents[1], keep=2)
    spent = time.monotonic() - spent
    interrupted = 0
    for number in range(times):
        child = os.fork()
        if child == 0:  # nothing but file operations in the child
            for turn in range(1000):
                checkpoint.write(path, contents[turn % 2], keep=2)
            os._exit(0)
        time.sleep(random.uniform(0, 3 * spent))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        interrupted += (folder / ".last.partial.keras").exists()
        found = checkpoint.newest(folder)
        assert found == path, f"kill {number}"
        assert checkpoint.load_state(found)["n"] in (0, 1)
        np.testing.assert_array_equal(checkpoint.load_arrays(found)["a"], ballast["a"])
    return interrupted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_while_writing_never_costs_the_checkpoint(trained, tmp_path, times):
    interrupted = killed_while_writing(trained[0], tmp_path, times)
    assert interrupted > 0  # or the kills proved nothing
