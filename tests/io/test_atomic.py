"""Files and folders appear whole or not at all, whatever their names are."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest

from kseg.errors import FileError, KsegError
from kseg.io import atomic
from kseg.io.atomic import (
    HOST,
    clear_leftovers,
    put_in_place,
    temporary_path,
    write_bytes,
    write_json,
    write_text,
)

utf8 = pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="the locale names files otherwise")


@pytest.fixture(scope="module")
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def folder(path, text="x"):
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text(text)
    return path


def names(path):
    return sorted(entry.name for entry in path.iterdir())


@utf8
@pytest.mark.parametrize("name", ["a" * 251 + ".png", "界" * 82 + ".json", "a" * 255, "a." + "b" * 200, ".x"])
def test_every_name_that_the_system_takes(tmp_path, name):
    for content in (b"old", b"new"):
        write_bytes(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == content
    with temporary_path(tmp_path / name) as part:
        folder(part)
        put_in_place(part, tmp_path / "folder")
    assert names(tmp_path) == sorted([name, "folder"])


@utf8
def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.txt")
    write_text(tmp_path / name, f"{name}: 界\n")
    assert (tmp_path / name).read_text(encoding="utf-8") == "caf\\udce9.txt: 界\n"
    write_json(tmp_path / "a.json", [name])
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '[\n  "caf\\udce9.txt"\n]\n'


def test_permissions_are_those_of_other_files(tmp_path):
    (tmp_path / "usual").write_text("")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    done = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), real_sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("name"), real_replace(*paths)))
    write_bytes(tmp_path / "a", b"x")
    assert done == ["sync", "name", "sync"]  # the file, its name, the folder that holds the name


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_refusal_is_one_sentence_and_leaves_the_old_file(tmp_path, monkeypatch, call, number):
    write_bytes(tmp_path / "a.png", b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(FileError) as caught:
        write_bytes(tmp_path / "a.png", b"new")
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'a.png'}: could not be written ({os.strerror(number)})")
    assert ("make space" in told) == (number == errno.ENOSPC)
    assert caught.value.errno == number
    assert isinstance(caught.value, KsegError)
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_a_write_that_breaks_off_halfway(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(FileError, match=rf"a\.png: could not be written \({os.strerror(errno.EFBIG)}\)"):
            write_bytes(tmp_path / "a.png", bytes(2000))
    finally:
        signal.signal(signal.SIGXFSZ, before)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


def test_the_folder_is_made_or_cannot_be_made(tmp_path):
    write_bytes(tmp_path / "new" / "er" / "a.png", b"x")
    assert (tmp_path / "new" / "er" / "a.png").read_bytes() == b"x"
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"a\.png: could not be written"):
        write_bytes(tmp_path / "file" / "a.png", b"")
    with pytest.raises(FileError, match=r"x: could not be written"), temporary_path(tmp_path / "file" / "x"):
        pass


def test_other_errors_within_are_not_taken_for_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match="data"), temporary_path(tmp_path / "a.onnx"):
        open(tmp_path / "data")  # noqa: SIM115
    assert names(tmp_path) == []


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    folder(tmp_path / "a.png", "kept")
    with pytest.raises(FileError, match=os.strerror(errno.EISDIR)):
        write_bytes(tmp_path / "a.png", b"")
    assert (tmp_path / "a.png" / "saved_model.pb").read_text() == "kept"
    assert names(tmp_path) == ["a.png"]


def test_a_pipe_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_bytes(tmp_path / "pipe", b"content")
    reader.join()
    assert read == [b"content"]
    assert names(tmp_path) == ["pipe"]


def test_hidden_until_it_is_renamed(tmp_path):
    target = tmp_path / "made" / "7"
    with temporary_path(target) as part:
        folder(part)
        assert part.name.startswith(".")
        assert not part.name.isdigit()
        put_in_place(part, target)
    assert names(tmp_path / "made") == ["7"]
    with temporary_path(tmp_path / "x.tflite") as part:
        assert part.suffix == ".tflite"  # a runtime reads it under this name
        part.write_text("half")
        clear_leftovers(tmp_path)  # of another export into this folder, at the same time
        assert part.exists()
    assert names(tmp_path) == ["made"]


def test_what_killed_processes_left_is_cleared(tmp_path, gone):
    folder(tmp_path / f".kseg-{HOST}-{gone}-0.part")
    folder(tmp_path / f".kseg-{HOST}-{os.getpid()}-12345.part")  # in a container each process may be number 1
    (tmp_path / f".kseg-{HOST}-{gone}-1.part.tflite").write_text("half")
    folder(tmp_path / f".kseg-{HOST}-{gone}-2.old" / "4", "the only one")
    folder(tmp_path / f".kseg-{HOST}-{gone}-3.old" / "5", "replaced")
    folder(tmp_path / "5", "new")
    stay = {
        f".kseg-{HOST}-{os.getppid()}-0.part",  # of a process that runs
        f".kseg-elsewhere-{gone}-0.part",
        ".git",
        "9",
        f"kseg-{HOST}-{gone}-0.part",
    }
    for name in stay:
        folder(tmp_path / name)
    clear_leftovers(tmp_path)
    assert set(names(tmp_path)) == stay | {"4", "5"}
    assert (tmp_path / "4" / "saved_model.pb").read_text() == "the only one"
    assert (tmp_path / "5" / "saved_model.pb").read_text() == "new"


def test_an_older_version_stays_where_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    folder(tmp_path / "1", "old")
    new, real = folder(tmp_path / ".part", "new"), os.rename

    def rename(source, target):
        if source == new:
            raise OSError(errno.EIO, "worn out")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(FileError, match="worn out"):
            put_in_place(new, tmp_path / "1")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"
    put_in_place(new, tmp_path / "1")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "new"
    assert names(tmp_path) == ["1"]


def replace_and_be_killed(target, renames):
    """Put a new version in place of `target`; SIGKILL comes after so many renames."""
    real, done = os.rename, []

    def rename(*paths):
        if len(done) == renames:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(real(*paths))

    os.rename = rename
    with temporary_path(target) as part:
        put_in_place(folder(part, "new"), target)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_between_the_renames_costs_no_version(tmp_path, renames):
    """SIGKILL after the older version stepped aside, after the new one is there, and before both."""
    target = folder(tmp_path / "1", "old")
    child = os.fork()
    if child == 0:
        try:
            replace_and_be_killed(target, renames)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [name for name in names(tmp_path) if name.isdigit()] == ([] if renames == 1 else ["1"])
    with temporary_path(tmp_path / "2"):  # the next export
        assert [name for name in names(tmp_path) if not name.startswith(".")] == ["1"]
    assert (target / "saved_model.pb").read_text() == ("new" if renames == 2 else "old")
    assert names(tmp_path) == ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path):
    for delay in range(20):
        write_bytes(tmp_path / "a", b"o" * 100_000)
        child = os.fork()
        if child == 0:
            while True:
                atomic.write_bytes(tmp_path / "a", b"n" * 100_000)
        threading.Event().wait(0.0005 * delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert (tmp_path / "a").read_bytes() in (b"o" * 100_000, b"n" * 100_000)
    clear_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]
