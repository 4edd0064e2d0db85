"""TFLite Metadata inside a .tflite file: what MediaPipe Tasks and Android's libraries need to run it and to name its
classes.

Written by hand with the `flatbuffers` package, because the package that has the schema (tflite-support) is no longer
published for current Pythons. Tables and the numbers of their fields: metadata_schema.fbs and
image_segmenter_metadata_schema.fbs of MediaPipe (mediapipe/tasks/metadata).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kseg.parts import OptionalPackage

if TYPE_CHECKING:
    import flatbuffers
else:
    flatbuffers = OptionalPackage("flatbuffers", "flatbuffers", "ai-edge-litert")

NAME, IDENTIFIER = "TFLITE_METADATA", b"M001"
SEGMENTER, SEGMENTER_IDENTIFIER = "SEGMENTER_METADATA", b"V001"
ALIGNMENT = 16  # of weights in a .tflite file
NONE, SIGMOID, SOFTMAX = 0, 1, 2
AXIS_LABELS, VALUE_LABELS = 2, 3
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS = 2, 1
RGB, GRAYSCALE, UNKNOWN = 1, 2, 0


def with_task_metadata(data: bytes, description: dict[str, Any], labels: str) -> bytes:
    """A .tflite file with TFLite Metadata: normalisation 0 and 1, the activation, the file of labels.

    Everything that the file held stays byte for byte where it was, only further back; nothing is packed again.

    Args:
        data: the file, before anything is appended to it.
        description: what `kseg.export.metadata.describe` gives; what it calls the output decides the activation.
        labels: name of the file of class names that will be packed with it.

    Returns:
        The new file; the old one where its weights lie outside of the flatbuffer (above 2 GB), which cannot move.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    if any(model.Buffers(number).Offset() > 1 for number in range(model.BuffersLength())):
        return data
    builder, position = _continued(data)
    graph = model.Subgraphs(0)
    channels = [int(graph.Tensors(end(0)).ShapeAsNumpy()[-1]) for end in (graph.Inputs, graph.Outputs)]
    content = builder.CreateByteVector(
        model_metadata(description, labels, *channels)
    )  # aligned as it must be: 4
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, content, 0)
    added = builder.EndObject()
    name = builder.CreateString(NAME)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUint32Slot(1, model.BuffersLength(), 0)
    entry = builder.EndObject()
    there = [model.Metadata(number) for number in range(model.MetadataLength())]
    kept = [position(one._tab.Pos) for one in there if one.Name() != NAME.encode()]
    buffers = [position(model.Buffers(number)._tab.Pos) for number in range(model.BuffersLength())]
    replaced = {4: _vector(builder, [*buffers, added]), 6: _vector(builder, [*kept, entry])}
    builder.Finish(_copied_root(builder, model._tab, position, replaced), b"TFL3")
    return bytes(builder.Output())


def _continued(data: bytes) -> tuple[flatbuffers.Builder, Any]:
    """A builder that goes on in front of a finished flatbuffer, and where in it (from its end) a position lies."""
    padded = data + bytes(-len(data) % ALIGNMENT)
    builder = flatbuffers.Builder(len(padded) + 4096)
    builder.head = len(builder.Bytes) - len(padded)
    builder.Bytes[builder.head :] = padded
    builder.minalign = ALIGNMENT  # so that all of it moves by a multiple of that
    return builder, lambda place: len(padded) - place


def _copied_root(builder: flatbuffers.Builder, table: Any, position: Any, replaced: dict[int, int]) -> int:
    """The root table once more, pointing to the old parts, but for some fields. Field 0 is a number, the version."""
    kinds = flatbuffers.number_types
    offsets = table.Pos - table.Get(kinds.SOffsetTFlags, table.Pos)  # the table of the fields' offsets
    fields = max(table.Get(kinds.VOffsetTFlags, offsets) // 2 - 2, 1 + max(replaced))
    builder.StartObject(fields)
    for field in range(fields):
        at = table.Offset(4 + 2 * field)
        if field in replaced:
            builder.PrependUOffsetTRelativeSlot(field, replaced[field], 0)
        elif at and field == 0:
            builder.PrependUint32Slot(0, table.Get(kinds.Uint32Flags, table.Pos + at), 0)
        elif at:
            builder.PrependUOffsetTRelativeSlot(field, position(table.Indirect(table.Pos + at)), 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def model_metadata(description: dict[str, Any], labels: str, channels: int, outputs: int) -> bytes:
    """The flatbuffer ModelMetadata of a segmentation model.

    Args:
        description: what `kseg.export.metadata.describe` gives.
        labels: name of the packed file of class names.
        channels: of the image.
        outputs: channels of the output; the width for class ids.
    """
    builder = flatbuffers.Builder(1024)
    colours = {3: RGB, 1: GRAYSCALE}.get(channels, UNKNOWN)
    ids = description["output"] == "class_ids"
    content = _table(builder, 3, {0: IMAGE_PROPERTIES, 1: _table(builder, 2, {0: colours})})
    # The process unit (x - 0) / 1: kseg's models take 0 to 255 and normalise themselves.
    values = []
    for value in (0.0, 1.0):
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value)
        values.append(builder.EndVector())
    options = _table(builder, 2, dict(enumerate(values)))
    units = _vector(builder, [_table(builder, 2, {0: NORMALIZATION_OPTIONS, 1: options})])
    image = _table(builder, 7, {0: "image", 3: content, 4: units})
    file = _table(builder, 5, {0: labels, 2: VALUE_LABELS if ids else AXIS_LABELS})
    result = _table(builder, 7, {0: description["output"], 6: _vector(builder, [file])})
    graph = {2: _vector(builder, [image]), 3: _vector(builder, [result])}
    if not ids:
        # Custom metadata: what has still to be done to the output to make probabilities of it.
        output = description["output"]
        inner = flatbuffers.Builder(64)
        value = NONE if output == "probabilities" else SIGMOID if outputs == 1 else SOFTMAX
        inner.Finish(_table(inner, 2, {0: value, 1: "1.0.0"}), SEGMENTER_IDENTIFIER)
        content = bytes(inner.Output())
        builder.StartVector(1, len(content), ALIGNMENT)
        builder.head -= len(content)
        builder.Bytes[builder.head : builder.head + len(content)] = content
        graph[9] = _vector(builder, [_table(builder, 2, {0: SEGMENTER, 1: builder.EndVector()})])
    graphs = _vector(builder, [_table(builder, 10, graph)])
    what = (
        f"Segments images into {len(description['classes'])} classes. Exported by kseg {description['kseg']}."
    )
    root = _table(builder, 8, {0: description["name"], 1: what, 3: graphs, 7: "1.5.0"})
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: int, values: dict[int, Any]) -> int:
    """A table; strings are written, whole numbers are offsets, or an enumeration's value below 8."""
    values = {
        field: builder.CreateString(value) if isinstance(value, str) else value
        for field, value in values.items()
    }
    builder.StartObject(fields)
    for field, value in values.items():
        if value < 8:
            builder.PrependInt8Slot(field, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, value, 0)
    return builder.EndObject()
