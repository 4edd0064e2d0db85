import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import encode, number_types
from flatbuffers.table import Table

import kseg
from kseg.export import metadata
from kseg.export.task_metadata import with_task_metadata

DESCRIPTION = {"name": "m", "output": "logits", "classes": ["a", "b"], "kseg": "1"}


class Reader:
    """A flatbuffer's table read by the numbers of its fields, as they stand in MediaPipe's schema files."""

    def __init__(self, data, at=None):
        self.table = Table(
            bytearray(data), encode.Get(number_types.UOffsetTFlags.packer_type, data, 0) if at is None else at
        )

    def _offset(self, field):
        return self.table.Offset(4 + 2 * field)

    def number(self, field, kind=number_types.Int8Flags):
        at = self._offset(field)
        return self.table.Get(kind, self.table.Pos + at) if at else 0

    def text(self, field):
        return self.table.String(self.table.Pos + self._offset(field)).decode()

    def inner(self, field):
        return Reader(self.table.Bytes, self.table.Indirect(self.table.Pos + self._offset(field)))

    def all(self, field):
        at = self._offset(field)
        start = self.table.Vector(at) if at else 0
        return [
            Reader(self.table.Bytes, self.table.Indirect(start + 4 * number))
            for number in range(self.table.VectorLen(at) if at else 0)
        ]

    def values(self, field, kind):
        return self.table.GetVectorAsNumpy(kind, self._offset(field)).tolist()


def metadata_of(data):
    """The buffer named TFLITE_METADATA, and where it lies."""
    model = schema.Model.GetRootAs(data, 0)
    (number,) = [
        model.Metadata(i).Buffer()
        for i in range(model.MetadataLength())
        if model.Metadata(i).Name() == b"TFLITE_METADATA"
    ]
    return bytes(model.Buffers(number).DataAsNumpy())


def exported(path, activation=None, channels=2, **options):
    image = keras.Input((8, 8, 3))
    model = keras.Model(
        image, keras.layers.Conv2D(channels, 3, padding="same", activation=activation)(image), name="tiny"
    )
    kseg.export.tflite(model, path, **options)
    return path


@pytest.mark.parametrize(
    ("activation", "channels", "precision", "expected"),
    [
        (None, 2, "float32", 2),
        (None, 5, "int8", 2),
        pytest.param(None, 1, "float16", 1, marks=pytest.mark.full),
    ],
)
def test_what_media_pipe_reads(tmp_path, activation, channels, precision, expected):
    images = list(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8))
    more = {"calibration": images} if precision == "int8" else {}
    path = exported(tmp_path / "m.tflite", activation, channels, precision=precision, **more)
    content = metadata_of(path.read_bytes())
    assert content[4:8] == b"M001"
    graph = Reader(content).all(3)[0]
    (image,), (result,) = graph.all(2), graph.all(3)
    assert image.inner(3).number(0) == 2  # content: image
    assert image.inner(3).inner(1).number(0) == 1  # RGB
    (unit,) = image.all(4)
    assert unit.number(0) == 1  # normalisation
    assert unit.inner(1).values(0, number_types.Float32Flags) == [0.0]
    assert unit.inner(1).values(1, number_types.Float32Flags) == [1.0]
    (file,) = result.all(6)
    assert file.number(2) == 2  # labels of an axis
    with zipfile.ZipFile(path) as archive:
        assert len(archive.read(file.text(0)).decode().splitlines()) >= channels
        assert "kseg.json" in archive.namelist()
    (custom,) = graph.all(9)
    assert custom.text(0) == "SEGMENTER_METADATA"
    inner = bytes(custom.values(1, number_types.Uint8Flags))
    assert inner[4:8] == b"V001"
    assert Reader(inner).number(0) == expected


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A file as the converter gives it, without metadata and without anything appended."""
    monkeypatch.setattr(metadata, "with_task_metadata", lambda data, *_: data)
    path = exported(tmp_path / "bare.tflite")
    with zipfile.ZipFile(path) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
    return path.read_bytes()[:start]


def test_probabilities_need_no_activation(bare):
    content = with_task_metadata(bare, {**DESCRIPTION, "output": "probabilities"}, "labels.txt")
    custom = Reader(metadata_of(content)).all(3)[0].all(9)[0]
    assert Reader(bytes(custom.values(1, number_types.Uint8Flags))).number(0) == 0


def test_class_ids_name_values(bare):
    graph = Reader(
        metadata_of(with_task_metadata(bare, {**DESCRIPTION, "output": "class_ids"}, "l.txt"))
    ).all(3)[0]
    assert graph.all(3)[0].all(6)[0].number(2) == 3
    assert not graph.all(9)


def test_the_model_itself_is_moved_and_not_packed_anew(bare):
    old, new = bare, with_task_metadata(bare, DESCRIPTION, "labels.txt")
    assert new.rstrip(b"\0").endswith(old.rstrip(b"\0"))
    shift = len(new) - len(old) - (-len(old) % 16)
    assert shift % 16 == 0  # weights stay aligned
    models = [schema.Model.GetRootAs(data, 0) for data in (old, new)]
    assert models[1].BuffersLength() == models[0].BuffersLength() + 1
    assert models[1].MetadataLength() == models[0].MetadataLength() + 1
    assert models[1].Version() == models[0].Version()
    assert models[1].Description() == models[0].Description()
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    results = []
    for data in (old, new):
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*results)


def test_it_is_there_once(bare):
    once = with_task_metadata(bare, DESCRIPTION, "labels.txt")
    twice = with_task_metadata(once, {**DESCRIPTION, "name": "renamed"}, "labels.txt")
    assert Reader(metadata_of(twice)).text(0) == "renamed"
