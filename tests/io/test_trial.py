"""The program that runs a model file in a process of its own."""

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


def test_a_preset_runs_without_tensorflow():
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


def test_what_the_runtime_refuses(tmp_path):
    for name, content in (("words", b"no model at all"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        ran = run("tflite", tmp_path / name)
        assert (ran.returncode, len(ran.stdout.splitlines())) == (1, 1), name


def test_a_file_that_breaks_off_ends_this_process_alone(tmp_path):
    (tmp_path / "a.tflite").write_bytes(PRESET.read_bytes()[:1000])
    code = run("tflite", tmp_path / "a.tflite").returncode
    assert code == 1 or code < 0  # LiteRT 2.1 crashes where 2.3 refuses


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
