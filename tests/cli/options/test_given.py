"""Every option that would do nothing is refused in one sentence, before any work."""

import argparse

import pytest

from kseg.cli.main import build_parser, main
from kseg.cli.options.given import given

FILES = "--model m.keras --out o"
DATA = "--data folder --root nowhere"
PROPOSALS = "--proposals 5"


def test_only_what_was_typed_counts():
    parser = build_parser()
    typed = given(
        parser, ["predict", "a.jpg", "--model", "m", "--out", "o", "--alpha", "0.5", "--scales", "1"]
    )
    assert typed == {"inputs", "model", "out", "alpha", "scales"}


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (f"predict {{image}} {FILES} --masks d", "--masks"),
        (f"predict {{image}} {FILES} --no-overlay --alpha 0.5", "--alpha"),
        (f"predict {{image}} {FILES} --steps d", "--steps"),
        ("webcam --source synthetic --headless --report r --model m.keras --precision int8", "--precision"),
        ("webcam --source synthetic --headless --report r --input-range 0..1", "--input-range"),
        ("webcam --source synthetic --headless --report r --folder d", "--folder"),
        ("webcam --source a.mp4 --headless --report r --camera-size 48 64", "--camera-size"),
        ("webcam --source synthetic --headless --report r --smoothing 1", "--smoothing"),
        ("webcam --source synthetic --port 8000", "--port"),
        ("export --model m.keras --out o.tflite --split val", "--split"),
        ("export --model m.keras --out o.tflite --root d --limit 3", "--root, --limit"),
        ("export --model m.keras --out o.tflite --max-pixels 5", "--max-pixels"),
        ("export --model m.keras --out o.tflite --calibration-count 9", "--calibration-count"),
        ("export --model m.keras --out o.onnx --calibration-split val", "--calibration-split"),
        ("export --model m.keras --out o.onnx --precision int8", "--precision"),
        ("export --model m.keras --out o.onnx --version 2", "--version"),
        ("info fcn8s_vgg16 --out d", "--out"),
        ("info fcn8s_vgg16 --max-pixels 5", "--max-pixels"),
        ("info people --classes 3", "--classes"),
        ("info people --json --layers", "--layers"),
        ("check-data d --root r", "--root"),
        ("check-data --data camvid --root r --classes 3", "--classes"),
        ("models --classes 3", "--classes"),
        ("demo --no-training --epochs 3", "--epochs"),
        ("train --model m --data folder --val-split none --validate-every 2", "--validate-every"),
    ],
)
def test_options_that_would_do_nothing(words, flags, image, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([word.format(image=image) for word in words.split()]) == 2
    said = capsys.readouterr().err.strip()
    assert flags in said, said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == [image]


@pytest.mark.full
@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("--fuse max", "--fuse"),
        ("--fuse mean --scales 1", "--fuse"),
        ("--proposal-size 64", "--proposal-size"),
        ("--smallest 9 --join sum", "--smallest, --join"),
        ("--ensemble-mode product", "--ensemble-mode"),
        ("--pad", "--pad"),
        ("--crf-weight 3", "--crf"),
        (f"{PROPOSALS} --flip", "--flip"),
    ],
)
def test_options_of_prediction(words, flags, image, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["predict", str(image), "--model", "people", "--out", "o", *words.split()]
    assert main(command) == 2
    assert flags in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [image]


@pytest.fixture
def image(tmp_path):
    from PIL import Image

    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_parser_keeps_its_defaults():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default=3)
    assert given(parser, ["--size", "4"]) == {"size"}
    with pytest.raises(SystemExit):
        given(parser, ["--wrong"])
    assert parser.parse_args([]).size == 3
