"""Faults around checkpoints: files made to deceive, Ctrl-C, a full disk, and kills while writing."""

import contextlib
import ctypes
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile

import h5py
import numpy as np
import pytest

from kseg.errors import FileError, KsegError, ModelError
from kseg.io.atomic import write_text
from kseg.training.run import checkpoint


def rewritten(path, name, content):
    """The checkpoint with another member of that name."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, old in members.items():
            archive.writestr(each, content if each == name else old)
    return members[name]


def mutated(content, members, random):
    """A checkpoint damaged in one of many ways, as on a disk (its checksums fail) and within (they fit)."""
    damaged, at = bytearray(content), int(random.integers(len(content)))
    kind = random.choice(["bytes", "tail", "cut", "zeros", "noise", "within", "without"])
    if kind in ("bytes", "tail"):
        first = 0 if kind == "bytes" else len(content) - 400
        for place in random.integers(first, len(content), random.integers(1, 20)):
            damaged[place] ^= int(random.integers(1, 256))
    elif kind == "cut":
        del damaged[at:]
    elif kind == "zeros":
        damaged[at : at + 2000] = bytes(len(damaged[at : at + 2000]))
    elif kind == "noise":
        damaged = bytearray(random.bytes(at % 3000))
    else:
        members = dict(members)
        name = random.choice(list(members))
        member = bytearray(members.pop(name))
        for place in random.integers(0, len(member), random.integers(1, 8)):
            member[place] ^= int(random.integers(1, 256))
        if kind == "within":
            members[name] = bytes(member)
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as archive:
            for each, part in members.items():
                archive.writestr(each, part)
        damaged = memory.getvalue()
    return bytes(damaged)


@pytest.mark.full
def test_no_damage_raises_anything_but_a_sentence(trained, network, tmp_path):
    """150 damaged files; the large run of this, 1,500 through `fit`, was made by hand."""
    random, path = np.random.default_rng(2), tmp_path / "last.keras"
    checkpoint.save(trained[0], path, {"epochs_done": 1, "seeds": []}, arrays={"a": np.arange(9)})
    content = path.read_bytes()
    shutil.copy(path, tmp_path / "last.1.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    model, found = network(), set()
    for _ in range(150):
        path.write_bytes(mutated(content, members, random))
        newest = checkpoint.newest(tmp_path)
        found.add(newest.name)
        if newest == path:  # only what its checksums cannot tell
            with contextlib.suppress(ModelError):
                checkpoint.load_into(model, path, optimizer=False)
    assert found == {"last.keras", "last.1.keras"}


def as_folder(path):
    path.mkdir()
    (path / "inside").touch()


@pytest.mark.full
@pytest.mark.parametrize(
    "put",
    [
        as_folder,
        os.mkfifo,
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path),
        lambda path: path.touch(),
    ],
    ids=["folder", "pipe", "dangling link", "link to itself", "empty"],
)
def test_what_is_no_file_gives_way_to_the_checkpoint_before(trained, tmp_path, put):
    checkpoint.save(trained[0], tmp_path / "last.1.keras", {"epochs_done": 1})
    path = tmp_path / "last.keras"
    put(path)
    assert checkpoint.recovered(tmp_path) == path
    assert checkpoint.load_state(path) == {"epochs_done": 1}
    assert sorted(os.listdir(tmp_path)) == ["last.damaged", "last.keras"]


def test_a_folder_that_is_gone_is_said(trained, tmp_path):
    with pytest.raises(FileError, match="the folder of the run is gone"):
        checkpoint.save(trained[0], tmp_path / "gone" / "last.keras")
    assert not (tmp_path / "gone").exists()


@pytest.mark.full
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

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "holds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("last.keras", b"old")]


@pytest.mark.parametrize("on_disk", [b"neW", b"ne", b"new and more", b""])
def test_a_disk_that_gives_back_something_else_leaves_the_old_file_only(tmp_path, monkeypatch, on_disk):
    path = tmp_path / "last.keras"
    path.write_bytes(b"old")
    monkeypatch.setattr(checkpoint, "sync", lambda part: part.write_bytes(on_disk))
    with pytest.raises(KsegError, match="not what was written"):
        checkpoint.write(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("last.keras", b"old")]


FULL_DISK = """
mount -t tmpfs -o size=160k tmpfs "$2" || exit 77
exec "$0" -c "$1" "$2"
"""


FILL = """
import os, sys, keras, numpy as np
from pathlib import Path
import shutil
from kseg.errors import KsegError
from kseg.io.atomic import write_text
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
    looks, full = shutil.disk_usage, os.strerror(errno.ENOSPC)  # in the language of the process
    for usage, what in (
        (looks, "MiB free"),
        (lambda at: looks(at)._replace(free=10**9), full),
    ):
        shutil.disk_usage = usage  # the second: filled by another between look and write
        with pytest.raises(KsegError, match=what):
            checkpoint.write(path, new)
        with pytest.raises(KsegError, match=rf"metrics\.csv: could not be written \({full}"):
            write_text(folder / "metrics.csv", "1,2\n" * 40_000)
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
        interrupted += any(folder.glob(".kseg-*"))
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
