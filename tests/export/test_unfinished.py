import os
import signal
import subprocess
import sys

import pytest

from kseg.export.unfinished import HOST, clear_leftovers, put_in_place, unfinished


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


def test_hidden_until_it_is_renamed(tmp_path):
    target = tmp_path / "made" / "7"
    with unfinished(target) as part:
        folder(part)
        assert part.name.startswith(".")
        assert not part.name.isdigit()
        put_in_place(part, target)
    assert names(tmp_path / "made") == ["7"]
    with unfinished(tmp_path / "x.tflite") as part:
        assert part.suffix == ".tflite"  # a runtime reads it under this name
        part.write_text("half")
    assert names(tmp_path) == ["made"]


def test_what_killed_exports_left_is_cleared(tmp_path, gone):
    folder(tmp_path / f".3.{HOST}-{gone}.part")
    (tmp_path / f".x.tflite.{HOST}-{gone}.part.tflite").write_text("half")
    folder(tmp_path / f".4.{HOST}-{gone}.old", "the only one")
    folder(tmp_path / f".5.{HOST}-{gone}.old", "replaced")
    folder(tmp_path / "5", "new")
    stay = {
        f".1.{HOST}-{os.getpid()}.part",
        f".1.elsewhere-{gone}.part",
        ".git",
        "9",
        f"1.{HOST}-{gone}.part",
    }
    for name in stay:
        folder(tmp_path / name)
    clear_leftovers(tmp_path)
    assert set(names(tmp_path)) == stay | {"4", "5"}
    assert (tmp_path / "4" / "saved_model.pb").read_text() == "the only one"
    assert (tmp_path / "5" / "saved_model.pb").read_text() == "new"


def test_an_older_version_stays_where_the_new_one_cannot_be_put(tmp_path):
    folder(tmp_path / "1", "old")
    with pytest.raises(OSError, match="No such file"):
        put_in_place(tmp_path / "missing", tmp_path / "1")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"
    put_in_place(folder(tmp_path / ".part", "new"), tmp_path / "1")
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
    with unfinished(target) as part:
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
    with unfinished(tmp_path / "2"):  # the next export
        assert names(tmp_path) == ["1"]
    assert (target / "saved_model.pb").read_text() == ("new" if renames == 2 else "old")
