"""Which file of a model runs: LiteRT without TensorFlow where it can, Keras where it must."""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kseg.cli.main import build_parser, main
from kseg.cli.options.given import given
from kseg.cli.options.model_file import exported_file
from kseg.errors import ModelError, SettingsError


def parsed(words: str) -> argparse.Namespace:
    argv, parser = ["predict", "a.jpg", "--out", "o", *words.split()], build_parser()
    args = parser.parse_args(argv)
    args.given = given(parser, argv)
    return args


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("--model people", "people_int8.tflite"),
        ("--model people --backend litert", "people_int8.tflite"),
        ("--model people --crf", "people_int8.tflite"),
        ("--model people --backend keras", None),
        ("--model people --flip", None),
        ("--model people --scales 0.5 1", None),
        ("--model people --window 128", None),
        ("--model people --size 64 64", None),
        ("--model people --proposals 5", None),
        ("--model runs/x/best.keras", None),
        ("--model nobody", None),
    ],
)
def test_the_file_that_runs(words, name):
    found = exported_file(parsed(words))
    assert (None if found is None else found.name) == name


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--model people --backend litert --flip", SettingsError),
        ("--model x.keras --backend litert", SettingsError),
        ("--model none.tflite", ModelError),
    ],
)
def test_what_does_not_go_together(words, error):
    with pytest.raises(error):
        exported_file(parsed(words))


def test_a_file_refuses_what_needs_keras(tmp_path, capsys):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "m.tflite").write_bytes(b"1234TFL3")
    command = [
        "predict",
        str(tmp_path / "a.png"),
        "--model",
        str(tmp_path / "m.tflite"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*command, "--flip"]) == 2
    assert "--flip needs the Keras model" in capsys.readouterr().err
    assert main(command) == 2
    assert "m.tflite" in capsys.readouterr().err


def without_tensorflow(*words, cwd):
    """Run kseg where importing TensorFlow or Keras fails."""
    program = (
        "import sys\nfor name in ('tensorflow', 'keras', 'tensorflow_datasets'): sys.modules[name] = None\n"
        f"from kseg_command import main\nraise SystemExit(main({list(map(str, words))!r}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, env=os.environ
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def folder(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind / "val").mkdir(parents=True)
    Image.new("RGB", (40, 30), (90, 80, 70)).save(tmp_path / "data/images/val/a.png")
    Image.fromarray(np.arange(1200).reshape(30, 40).astype(np.uint8) % 2).save(
        tmp_path / "data/masks/val/a.png"
    )
    (tmp_path / "data/classes.txt").write_text("background\nperson\n")
    return tmp_path


def test_predict_evaluate_and_webcam_without_tensorflow(folder):
    image = folder / "data/images/val/a.png"
    assert without_tensorflow("predict", image, "--model", "people", "--out", "o", cwd=folder)[::2] == (0, "")
    assert Image.open(folder / "o/a.png").size == (40, 30)
    words = ("evaluate", "--model", "people", "--data", "folder", "--root", "data", "--json")
    code, out, said = without_tensorflow(*words, cwd=folder)
    assert (code, said) == (0, "")
    assert json.loads(out)["images"] == 1
    words = ("webcam", "--source", "synthetic", "--headless", "--report", "r.json", "--max-frames", "2")
    assert without_tensorflow(*words, cwd=folder)[0] == 0
    assert json.loads((folder / "r.json").read_text())["frames"] == 2
