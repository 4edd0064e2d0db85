import numpy as np

import kseg
from kseg.export.formats.tflite import TFLiteFormat


def test_written_opened_and_described(net, pictures, tmp_path):
    path, tflite = tmp_path / "x.tflite", TFLiteFormat()
    assert tflite.export(net, path, size=(24, 36), class_ids=True).agreement > 0.999
    assert tflite.is_format_of(path)
    assert tflite.place(path) == path
    found = tflite.open(path, 1)
    np.testing.assert_array_equal(found(pictures[0][None]), kseg.export.load(path)(pictures[0][None]))
    assert tflite.read_metadata(path)["output"] == "class_ids"
    assert found.output == "labels"


def test_a_file_that_is_not_accepted_stays_away(net, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"an earlier file")
    asked = []
    TFLiteFormat().export(net, path, size=(24, 36), accept=lambda part: asked.append(part.exists()) or False)
    assert asked == [True]
    assert path.read_bytes() == b"an earlier file"
    assert [one.name for one in tmp_path.iterdir()] == ["x.tflite"]
