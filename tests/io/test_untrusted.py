"""Files that crash their runtime crash a child process, and are told in one sentence."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError
from kseg.io import untrusted
from kseg.io.untrusted import check_runs

PRESET = Path(kseg.__file__).parent / "models" / "presets" / "people_int8.tflite"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ran"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a shell script in the place of Python, which counts how often it is started."""

    def put(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\necho started >> {tmp_path}/starts\ncat > /dev/null\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return lambda: (tmp_path / "starts").read_text().count("started")

    return put


def test_a_whole_file_runs_once_and_is_remembered(tmp_path, cache, monkeypatch):
    name = os.fsdecode("caf\xe9.tflite".encode("latin-1"))
    shutil.copy(PRESET, tmp_path / name)
    check_runs(tmp_path / name)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(untrusted.subprocess, "run", None)
    check_runs(tmp_path / name)
    check_runs(tmp_path / "missing.tflite")  # told where it is opened
    check_runs(Path(__file__))


@pytest.mark.parametrize("name", ["ABRT", "SEGV", "BUS", "KILL"])
def test_a_crash_is_one_sentence_and_not_remembered(tmp_path, cache, program, name):
    starts = program(f"kill -{name} $$")
    shutil.copy(PRESET, tmp_path / "a.tflite")
    for _ in range(2):
        with pytest.raises(ModelError, match=rf"a\.tflite: LiteRT crashed \(SIG{name}\)"):
            check_runs(tmp_path / "a.tflite")
    assert starts() == 2
    assert not cache.exists()


def test_what_the_runtime_refuses_is_told_by_the_runtime(tmp_path, cache, program):
    program("echo unknown operation; exit 1")
    (tmp_path / "a.onnx").write_text("x")
    check_runs(tmp_path / "a.onnx")
    assert not cache.exists()
    program("echo std::bad_alloc; exit 1")
    with pytest.raises(ModelError, match="more memory than there is"):
        check_runs(tmp_path / "a.onnx")


def test_a_file_that_never_finishes(tmp_path, program):
    program("exec sleep 60")
    (tmp_path / "a.onnx").write_text("x")
    with pytest.raises(ModelError, match=r"did not finish one image within 0\.3 s"):
        check_runs(tmp_path / "a.onnx", seconds=0.3)


def test_another_file_is_run_anew(tmp_path, program):
    starts = program("exit 0")
    for content in ("x", "y", "x"):
        (tmp_path / "a.onnx").write_text(content)
        check_runs(tmp_path / "a.onnx")
    assert starts() == 2


def mutated(seed):
    """The preset with a few bytes changed, mostly in the tables at its beginning and end."""
    random, data = np.random.default_rng(seed), bytearray(PRESET.read_bytes())
    for _ in range(random.integers(1, 6)):
        low, high = ((0, 4000), (len(data) - 60_000, len(data)), (0, len(data)))[random.integers(3)]
        data[random.integers(low, high)] = random.integers(256)
    return bytes(data)


@pytest.mark.slow
def test_mutated_files_never_end_this_process(tmp_path):
    found = []
    for seed in range(100):
        (tmp_path / "a.tflite").write_bytes(mutated(seed))
        try:
            check_runs(tmp_path / "a.tflite")
        except ModelError as error:
            found.append(str(error))
    assert all("crashed (SIG" in error or "memory" in error for error in found)
