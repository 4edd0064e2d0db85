import zipfile

import keras
import pytest

from kseg.errors import ModelError
from kseg.export.formats import read_metadata
from kseg.export.metadata import describe, labels_text, pack


def described(**attributes):
    image = keras.Input((None, None, 3))
    net = keras.Model(image, keras.layers.Conv2D(2, 1)(image), name="two")
    for name, value in attributes.items():
        setattr(net, name, value)
    return describe(net, file_format="tflite", size=(4, 6), precision="int8", output="logits")


def test_description():
    found = described(classes=("a", "b"), palette=((1, 2, 3), (4, 5, 6)))
    assert found["classes"] == ["a", "b"]
    assert found["palette"] == [[1, 2, 3], [4, 5, 6]]
    assert found["input"] == {"size": [4, 6], "range": [0, 255], "channels": "RGB", "layout": "NHWC"}
    assert (found["format"], found["precision"], found["output"]) == ("tflite", "int8", "logits")


def test_a_model_without_names_gets_numbers_and_vocs_colours():
    found = described()
    assert found["classes"] == ["class 0", "class 1"]
    assert found["palette"] == [[0, 0, 0], [128, 0, 0]]


def test_packed_behind_a_file(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"model bytes")
    found = described(classes=("a\nb", "c"))
    pack(path, found)
    assert path.read_bytes().startswith(b"model bytes")
    assert read_metadata(path) == found
    assert labels_text(found) == "a b\nc\n"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_files_of_others(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"model bytes")
    assert read_metadata(tmp_path / "x.tflite") == {}
    assert read_metadata(tmp_path) == {}
    side = tmp_path / "assets.extra" / "kseg.json"
    side.parent.mkdir()
    for text, said in (("{", "damaged"), ("[]", "not a JSON object")):
        side.write_text(text)
        with pytest.raises(ModelError, match=said):
            read_metadata(tmp_path)
    with pytest.raises(ModelError, match="gone"):
        read_metadata(tmp_path / "gone.tflite")
