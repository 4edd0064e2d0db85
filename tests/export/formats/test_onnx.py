import pytest

from kseg.export.formats.onnx import ONNXFormat


@pytest.mark.parity
def test_written_opened_and_described(net, pictures, tmp_path):
    path, onnx = tmp_path / "x.onnx", ONNXFormat()
    assert onnx.export(net, path, size=(24, 36)).equal
    assert onnx.is_format_of(path)
    assert onnx.open(path, 1)(pictures[0][None]).shape == (1, 24, 36, 3)
    assert onnx.read_metadata(path)["format"] == "onnx"


def test_a_file_of_another_ending_is_another_format(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"")
    assert not ONNXFormat().is_format_of(tmp_path / "x.tflite")
