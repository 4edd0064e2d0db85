import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[2] / "tools" / "convert.py"
_SPEC = importlib.util.spec_from_file_location("convert", _PATH)
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)


def test_it_is_kseg_export(monkeypatch):
    given = []
    monkeypatch.setattr("kseg.cli.main.main", lambda argv: given.append(argv) or 7)
    assert tool.main(["--model", "a.keras", "--out", "a.onnx"]) == 7
    assert given == [["export", "--model", "a.keras", "--out", "a.onnx"]]


def test_mistakes_keep_their_exit_code(tmp_path, capsys):
    assert tool.main(["--model", str(tmp_path / "no.keras"), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "no.keras" in capsys.readouterr().err
