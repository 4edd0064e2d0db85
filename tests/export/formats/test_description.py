import json
import zipfile

import pytest

from kseg.errors import ModelError
from kseg.export.formats.description import of_folder, of_onnx, of_zip


def test_what_another_program_wrote_is_empty(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"abcdTFL3")
    assert of_zip(tmp_path / "x.tflite") == {}
    assert of_folder(tmp_path) == {}


def test_a_zip_at_the_end(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"abcdTFL3" * 9)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("kseg.json", json.dumps({"classes": ["Straße"]}))
    assert of_zip(path) == {"classes": ["Straße"]}


@pytest.mark.parametrize(("text", "words"), [("[1]", "not a JSON object"), ("{", "damaged"), ("", "damaged")])
def test_damaged_descriptions(tmp_path, text, words):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "kseg.json").write_text(text)
    with pytest.raises(ModelError, match=words):
        of_folder(tmp_path)


def test_what_is_no_onnx_file(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\x07\xff\xff")
    with pytest.raises(ModelError, match="not an ONNX file"):
        of_onnx(tmp_path / "x.onnx")
