import io
import os
import signal
import sys
import warnings

import pytest

from kseg.cli import terminal
from kseg.errors import KsegWarning


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_ends_full_and_on_its_own_line():
    screen = Screen()
    with terminal.Bar("reading", screen) as bar:
        for done in range(1, 6):
            bar(done, 5)
    last = screen.getvalue().rpartition("\x1b[K")[2]
    assert last == f"reading [{'#' * 24}] 5/5, 0 s left\n"


def test_the_bar_is_silent_where_nobody_watches():
    stream = io.StringIO()
    with terminal.Bar("reading", stream) as bar:
        bar(1, 1)
    assert stream.getvalue() == ""


def test_durations_for_a_reader():
    assert [terminal.minutes(s) for s in (0, 42.4, 59.6, 185)] == ["0 s", "42 s", "1 min 00 s", "3 min 05 s"]


def test_printed_commands_start_as_the_program_was_started(tmp_path, monkeypatch):
    script = tmp_path / "kseg"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert terminal.invocation() == "kseg"
    monkeypatch.setenv("PATH", os.devnull)  # not on the PATH, as after .venv/bin/kseg
    assert terminal.invocation() == str(script)
    monkeypatch.setattr(sys, "argv", ["/somewhere/kseg/__main__.py"])
    assert terminal.invocation().endswith(" -m kseg")


def test_parts_of_a_thing_move_the_bar():
    screen = Screen()
    with terminal.Bar("predicting", screen) as bar:
        bar(1.5, 3)
        assert bar.done == 1
    assert f"[{'#' * 12}{' ' * 12}] 1/3" in screen.getvalue()


def test_warnings_stand_above_the_bar_and_name_the_picture():
    screen = Screen()
    with (
        terminal.Bar("predicting", screen) as bar,
        terminal.printed_warnings(bar, lambda: f"picture {bar.done}: "),
    ):
        bar(1, 1)
        for _ in range(2):
            warnings.warn("no boxes,\n so the whole image", KsegWarning, stacklevel=1)
    cleared = screen.getvalue().rpartition("\x1b[K")[2]
    assert cleared == 2 * "kseg: picture 1: no boxes, so the whole image\n"


def test_other_warnings_go_their_own_way():
    stream = io.StringIO()
    with (
        pytest.warns(UserWarning, match="of another library"),
        terminal.Bar("predicting", stream) as bar,
        terminal.printed_warnings(bar),
    ):
        warnings.warn("of another library", UserWarning, stacklevel=1)
    assert stream.getvalue() == ""


def test_a_request_to_end_is_as_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminal.terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
