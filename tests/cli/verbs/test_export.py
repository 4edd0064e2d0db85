import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main
from kseg.cli.verbs.export import smaller_sizes


def test_tflite_checked_on_a_data_set(labelled, model_file, tmp_path, capsys):
    out = tmp_path / "made" / "x.tflite"
    command = ["export", "--model", str(model_file), "--out", str(out), "--size", "24", "32", "--json"]
    assert main([*command, "--data", "folder", "--root", str(labelled), "--max-drop", "0.02"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(out)
    assert found["passed"]
    assert abs(found["drop"]) < 0.02
    assert kseg.export.load(out).size == (24, 32)
    assert [file.name for file in out.parent.iterdir()] == ["x.tflite"]


def test_a_file_that_loses_too_much_is_thrown_away(labelled, model_file, tmp_path, capsys, monkeypatch):
    out = tmp_path / "x.tflite"
    out.write_bytes(b"an earlier, good file")
    monkeypatch.setattr(kseg.export.Check, "drop", property(lambda self: 0.1))
    command = ["export", "--model", str(model_file), "--out", str(out), "--size", "24", "32"]
    command += ["--data", "folder", "--root", str(labelled), "--max-drop", "0.02"]
    assert main([*command, "--precision", "int8", "--class-ids"]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "was not written: mean IoU lost" in said.err
    assert out.read_bytes() == b"an earlier, good file"


@pytest.mark.full
def test_int8_of_close_logits_is_no_success(labelled, model_file, tmp_path, capsys):
    """Three classes within a thousandth of each other beside a value of 50: int8 has one step for all of them."""
    model = keras.saving.load_model(model_file)
    scores = [layer for layer in model.layers if layer.get_weights()][-1]
    scores.set_weights([weight * 1e-4 for weight in scores.get_weights()])
    close = tmp_path / "close.keras"
    keras.Model(model.input, model.output + 50.0).save(close)
    command = ["export", "--model", str(close), "--out", str(tmp_path / "x.tflite"), "--size", "24", "32"]
    command += [
        "--data",
        "folder",
        "--root",
        str(labelled),
        "--calibration-split",
        "val",
        "--precision",
        "int8",
    ]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "FAILED: only" in said.out
    assert "at least 90.0% are expected" in said.err
    assert not (tmp_path / "x.tflite").exists()
    assert main([*command, "--min-agreement", "0"]) == 0
    assert (tmp_path / "x.tflite").exists()


@pytest.mark.full
def test_int8_within_a_budget_or_not_at_all(labelled, model_file, tmp_path, capsys):
    """Of two maps that int8 reads, one channel is 10,000 times the others; without a budget the file is written."""
    model = keras.saving.load_model(model_file)
    first, second = (model.get_layer(name) for name in ("conv2d", "conv2d_1"))
    kernel, bias = first.get_weights()
    first.set_weights([kernel * [1e4, 1, 1, 1], bias])
    kernel, bias = second.get_weights()
    second.set_weights([kernel * np.reshape([1e-4, 1, 1, 1], (4, 1)), bias])
    wide = tmp_path / "wide.keras"
    model.save(wide)
    command = ["export", "--model", str(wide), "--out", str(tmp_path / "x.tflite"), "--size", "24", "32"]
    command += ["--data", "folder", "--root", str(labelled), "--calibration-split", "val", "--json"]
    command += ["--min-agreement", "0", "--precision", "int8"]
    assert main(command) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["drop"] > 0.02
    (tmp_path / "x.tflite").unlink()
    # Both convolutions would have to stay in float32, and there are no others.
    assert main([*command, "--int8-budget", "0.001"]) == 1
    said = capsys.readouterr()
    assert "was not written: int8 cannot hold the budget" in said.err
    assert not (tmp_path / "x.tflite").exists()
    assert main([*command, "--int8-budget", str(plain["drop"] + 0.01)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["int8"]["float_layers"] == []
    assert found["int8"]["lost"] == pytest.approx(found["drop"], abs=1e-9)


@pytest.mark.full
def test_saved_model(model_file, tmp_path, capsys):
    command = ["export", "--model", str(model_file), "--out", str(tmp_path / "served"), "--size", "24", "32"]
    assert main([*command, "--version", "2", "--confidence"]) == 0
    assert "saved_model" in capsys.readouterr().out
    assert (tmp_path / "served" / "2" / "saved_model.pb").is_file()
    assert main([*command, "--version", "2"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--version", "2", "--overwrite"]) == 0


@pytest.mark.full
def test_a_version_that_loses_too_much_is_never_served(labelled, model_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kseg.export.Check, "drop", property(lambda self: 0.1))
    command = ["export", "--model", str(model_file), "--out", str(tmp_path / "served"), "--size", "24", "32"]
    assert main([*command, "--data", "folder", "--root", str(labelled), "--max-drop", "0.02"]) == 1
    assert "FAILED" in capsys.readouterr().out
    assert list((tmp_path / "served").iterdir()) == []


def test_mistakes(model_file, tmp_path, mistake):
    def wrong(*more, out="x.tflite"):
        return mistake("export", "--model", model_file, "--out", tmp_path / out, *more)

    assert "size" in wrong()
    assert "--data" in wrong("--size", 24, 32, "--precision", "int8")
    assert "--data" in wrong("--size", 24, 32, "--max-drop", 0.1)
    assert "--precision int8" in wrong("--size", 24, 32, "--int8-budget", 0.1)
    assert ".onnx" in wrong("--format", "onnx")
    assert "--precision float16" in wrong("--precision", "float16", out="x.onnx")
    assert "--class-ids" in wrong("--class-ids", out="served")
    assert "--format saved_model" in wrong("--size", 24, 32, out="x.tfl")
    for option in (["--version", 2], ["--overwrite"], ["--confidence"]):
        assert f"{option[0]} is for SavedModels" in wrong("--size", 24, 32, *option)
    assert "without --precision" in wrong("--auto", "--dynamic", "--data", "folder")
    assert "--dynamic" in wrong("--dynamic", "--size", 24, 32, out="served")
    (tmp_path / "d.tflite").mkdir()
    assert "a folder has this name" in wrong("--size", 24, 32, out="d.tflite")
    assert not (tmp_path / "x.tflite").exists()


@pytest.mark.full
def test_a_fixed_model_needs_no_size(labelled, tmp_path, capsys):
    image = keras.Input((24, 32, 3))
    keras.Model(image, keras.layers.Conv2D(3, 1)(image)).save(tmp_path / "fixed.keras")
    command = [
        "export",
        "--model",
        str(tmp_path / "fixed.keras"),
        "--data",
        "folder",
        "--root",
        str(labelled),
    ]
    assert main([*command, "--out", str(tmp_path / "a.tflite"), "--precision", "int8"]) == 0
    assert kseg.export.load(tmp_path / "a.tflite").size == (24, 32)
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "b.tflite"), "--auto", "--max-drop", "1", "--json"]) == 0
    assert [trial["size"] for trial in json.loads(capsys.readouterr().out)["trials"]] == [[24, 32]] * 4


@pytest.mark.full
def test_free_sizes_of_a_model_that_works_at_one(model_file, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    load = kseg.models.load_trained

    def working(path):
        model = load(path)
        model.working_size = (24, 32)
        return model

    monkeypatch.setattr("kseg.models.load_trained", working)
    command = ["export", "--model", str(model_file), "--out", str(tmp_path / "x.onnx")]
    for more, size in (([], (24, 32)), (["--dynamic"], None)):
        assert main([*command, *more]) == 0
        assert kseg.export.load(tmp_path / "x.onnx").size == size


def test_sizes_to_try():
    assert smaller_sizes((360, 480)) == [(360, 480), (272, 360), (176, 240)]
    assert smaller_sizes((8, 8)) == [(8, 8)]


def killed(command, moment, seconds=300):
    """Run `kseg export` and end it with SIGKILL as soon as `moment()` is true."""
    root = str(Path(kseg.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "kseg", *command], env={**os.environ, "PYTHONPATH": root}
    )
    until = time.monotonic() + seconds
    while not moment():
        assert process.poll() is None, "the export ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_export_leaves_no_version_and_the_next_one_works(model_file, tmp_path, capsys):
    base = tmp_path / "served"
    command = ["export", "--model", str(model_file), "--out", str(base), "--size", "24", "32"]

    def versions():
        return sorted(path.name for path in base.iterdir() if path.name.isdigit()) if base.is_dir() else []

    for made in (
        "",
        "saved_model.pb",
        "assets.extra/kseg.json",
    ):  # nothing yet, half of it, while it is compared
        killed(command, lambda made=made: any(base.glob(f".kseg-*.part/{made}")))
        assert versions() == []
    assert main(command) == 0
    assert [path.name for path in base.iterdir() if path.is_dir()] == ["1"]  # what was left is cleared away
    before = (base / "1" / "saved_model.pb").read_bytes()
    for more, kept in ((["--version", "2"], ["1"]), (["--overwrite"], ["1"])):
        killed([*command, *more], lambda: any(base.glob(".kseg-*.part/assets.extra/kseg.json")))
        assert versions() == kept
        assert (base / "1" / "saved_model.pb").read_bytes() == before
    assert main([*command, "--version", "2"]) == 0
    assert [path.name for path in sorted(base.iterdir()) if path.is_dir()] == ["1", "2"]
    image = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3)).astype(np.uint8)
    masks = [kseg.export.load(base / version)(image) for version in ("1", "2")]
    np.testing.assert_array_equal(*masks)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.tflite", "x.onnx"])
def test_a_killed_export_leaves_the_earlier_file(model_file, tmp_path, capsys, name):
    pytest.importorskip("onnxruntime")
    out = tmp_path / "made" / name
    out.parent.mkdir()
    out.write_bytes(b"an earlier, good file")
    command = ["export", "--model", str(model_file), "--out", str(out), "--size", "24", "32"]
    for made in ("", f"/{name}", "/.kseg-*"):
        pattern = f".kseg-*{made}"
        killed(command, lambda pattern=pattern: any(out.parent.glob(pattern)))
        assert out.read_bytes() == b"an earlier, good file"
    assert main(command) == 0
    assert [path.name for path in out.parent.iterdir()] == [name]
    assert kseg.export.load(out).size == (24, 32)


def test_web_refuses_what_the_page_does_not_take(tmp_path, capsys):
    out = str(tmp_path / "site")
    assert main(["export", "--model", "people", "--format", "web", "--out", out, "--precision", "int8"]) == 2
    assert "--precision int8 is for TFLite, not for web pages" in capsys.readouterr().err
    assert main(["export", "--model", "people", "--out", str(tmp_path / "x.onnx"), "--runtime", "x"]) == 2
    assert "for web pages" in capsys.readouterr().err
