"""What libraries write while they are imported is kept off the screen."""

import gc
import importlib
import os
import subprocess
import sys

import pytest

from kseg.cli.quiet import hidden, quietly, silence_tensorflow, without_collector


def test_a_set_level_wins(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    silence_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@quietly()
def say_and_fail():
    os.write(2, b"reason")
    raise ImportError("no")


def test_what_was_said_quietly_is_shown_after_a_failure(capfd):
    with quietly():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError, match="no"):
        say_and_fail()
    assert capfd.readouterr().err == "reason"


def test_hidden_packages_come_back(tmp_path, monkeypatch):
    for name in ("hidden_package", "imported_package"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    imported = importlib.import_module("imported_package")
    with hidden("hidden_package", "imported_package"):
        with pytest.raises(ImportError):
            importlib.import_module("hidden_package")
        assert importlib.import_module("imported_package") is imported
    importlib.import_module("hidden_package")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_is_as_it_was_afterwards(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with without_collector():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()


@pytest.mark.full
@pytest.mark.parametrize("level", [None, "2"])
def test_the_command_imports_keras_without_what_it_does_not_use(level, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    code = (
        "import kseg_command, gc, sys; from kseg.cli.quiet import UNUSED, import_keras; import_keras(); "
        "print('keras' in sys.modules, [name for name in UNUSED if name in sys.modules], gc.isenabled(), "
        "gc.get_freeze_count() > 10**5); import matplotlib.pyplot"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True [] True True\n"
