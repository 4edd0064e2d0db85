"""The program that runs a model file in a process of its own."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kseg
from kseg.io import trial

PRESET = Path(kseg.__file__).parent / "models" / "presets" / "people_int8.tflite"


def run(*words):
    settings = {"path": [p for p in sys.path if p], "memory": 0, "size": [8, 8]}
    command = [sys.executable, trial.__file__, *map(str, words)]
    return subprocess.run(command, input=json.dumps(settings), capture_output=True, text=True)


def test_a_preset_runs_without_tensorflow(monkeypatch, capsys):
    ran = run("tflite", PRESET)
    assert (ran.returncode, ran.stdout) == (0, "")
    program = f"import runpy, sys\nsys.argv = ['trial.py', 'tflite', {str(PRESET)!r}]\n" + (
        f"try: runpy.run_path({trial.__file__!r}, run_name='__main__')\n"
        "except SystemExit: print(sorted({'tensorflow', 'keras', 'kseg', 'cv2'} & set(sys.modules)))"
    )
    settings = json.dumps({"path": [p for p in sys.path if p], "memory": 0, "size": [8, 8]})
    said = subprocess.run(
        [sys.executable, "-c", program], input=settings, capture_output=True, text=True
    ).stdout
    assert said == "[]\n"


def test_what_the_runtime_refuses(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.tflite").write_bytes(PRESET.read_bytes()[:1000])
    monkeypatch.setattr(sys, "argv", ["trial.py", "tflite", str(tmp_path / "a.tflite")])
    settings = {"path": list(sys.path), "memory": 0, "size": [8, 8]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(settings)))
    monkeypatch.setattr(trial, "_limit", lambda memory: None)
    assert trial.main() == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([1, 256, 256, 3], [1, 256, 256, 3]),
        ([-1, -1, -1, 3], [1, 8, 9, 3]),
        (["n", "h", "w", 3], [1, 8, 9, 3]),
        (["n", 3, "h", "w"], [1, 3, 8, 9]),
        ([None, 3, 32, None], [1, 3, 32, 9]),
        ([1, 5], [1, 5]),
    ],
)
def test_free_sides_are_filled_in(shape, expected):
    assert trial._concrete(shape, [8, 9]) == expected
