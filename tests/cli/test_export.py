import json

import kseg
from kseg.cli.export import smaller_sizes
from kseg.cli.main import main


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
    assert "failed" in said.err
    assert out.read_bytes() == b"an earlier, good file"


def test_saved_model(model_file, tmp_path, capsys):
    command = ["export", "--model", str(model_file), "--out", str(tmp_path / "served"), "--size", "24", "32"]
    assert main([*command, "--version", "2", "--confidence"]) == 0
    assert "saved_model" in capsys.readouterr().out
    assert (tmp_path / "served" / "2" / "saved_model.pb").is_file()
    assert main([*command, "--version", "2"]) == 2
    assert "--overwrite" in capsys.readouterr().err


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
    assert ".onnx" in wrong("--format", "onnx")
    assert "--precision float16" in wrong("--precision", "float16", out="x.onnx")
    assert "--dynamic" in wrong("--dynamic", out="served")
    assert "--class-ids" in wrong("--class-ids", out="served")
    assert not (tmp_path / "x.tflite").exists()


def test_sizes_to_try():
    assert smaller_sizes((360, 480)) == [(360, 480), (272, 360), (176, 240)]
    assert smaller_sizes((8, 8)) == [(8, 8)]
