"""What the benchmarks measure with: medians, turns, peaks, and figures from another process."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "measuring.py"
_spec = importlib.util.spec_from_file_location("measuring", PROGRAM)
measuring = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(measuring)


def test_seconds_is_the_median_without_the_first():
    naps = iter([0.2, 0.01, 0.02, 0.15])
    assert 0.02 <= measuring.seconds(lambda: time.sleep(next(naps)), 3) < 0.1


def test_they_take_turns():
    order = []
    naps = {
        "sleeps": lambda: (order.append("sleeps"), time.sleep(0.05)),
        "counts": lambda: order.append("counts"),
    }
    found = measuring.in_turns(naps, 3)
    assert order == ["sleeps", "counts"] * 4
    wall, processor = found["sleeps"]
    assert wall >= 0.05 > processor
    assert found["counts"][0] < 0.05
    order.clear()
    measuring.in_turns(
        {"counts": lambda: order.append("counts"), "other": lambda: order.append("other")}, 1, warm=2
    )
    assert order == (["counts"] * 3 + ["other"] * 3) * 2


def test_peak_memory_counts_what_was_touched():
    program = (
        f"import runpy; peak = runpy.run_path({str(PROGRAM)!r})['peak_mebibytes'];"
        "before = peak(); block = bytearray(b'x') * (64 * 2**20); del block; print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 60 < float(done.stdout) < 80


def test_figures_come_from_a_process_of_its_own(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"import runpy, sys; print('hello'); runpy.run_path({str(PROGRAM)!r})['say'](float(sys.argv[1]), 2.5)"
    )
    assert measuring.figures(str(program), "1e-3") == (0.001, 2.5)
    with pytest.raises(subprocess.CalledProcessError):
        measuring.figures(str(program), "nothing")


def test_run_measures_what_is_asked_for(capsys):
    called = []
    shown = {name: lambda name=name: called.append(name) for name in ("first", "second")}
    hidden = {"_own": lambda: called.append("_own")}
    assert measuring.run("What it is.", shown, hidden, ["second", "_own"]) == 0
    assert measuring.run("What it is.", shown, hidden, []) == 0
    assert called == ["second", "_own", "first", "second"]
    with pytest.raises(SystemExit, match="2"):
        measuring.run("What it is.", shown, hidden, ["nosuch"])
    said = capsys.readouterr().err
    assert "nosuch; known are first, second" in said
