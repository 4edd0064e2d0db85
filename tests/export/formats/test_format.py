"""The list of formats, which everything else asks."""

import subprocess
import sys

import pytest

from kseg.errors import ModelError, SettingsError
from kseg.export.formats import FORMATS, format_for, format_of, load, read_metadata, suffixes
from kseg.export.formats.format import Format


def test_names_and_endings():
    assert [one.name for one in FORMATS] == ["saved_model", "tflite", "onnx", "web"]
    assert suffixes() == (".tflite", ".onnx")


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("x.tflite", None, "tflite"),
        ("x.TFLITE", None, "tflite"),
        ("a/x.onnx", "onnx", "onnx"),
        ("served", None, "saved_model"),
        ("v1.2", "saved_model", "saved_model"),
        ("site", "web", "web"),
    ],
)
def test_the_format_of_a_new_path(path, name, expected):
    assert format_for(path, name).name == expected


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("x.pb", None, r"neither \.tflite nor \.onnx"),
        ("x.onnx", "tflite", r"ends in \.tflite"),
        ("x", "onnx", r"ends in \.onnx"),
        ("x.mlmodel", "coreml", "one of saved_model"),
    ],
)
def test_paths_that_do_not_suit(path, name, words):
    with pytest.raises(SettingsError, match=words):
        format_for(path, name)


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(SettingsError, match="a folder has this name"):
        format_for(tmp_path / "x.onnx")


def test_files_of_no_format(tmp_path):
    for function in (format_of, load, read_metadata):
        with pytest.raises(ModelError, match="no such exported model"):
            function(tmp_path / "x.tflite")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ModelError, match=r"expected a \.tflite or \.onnx file"):
        load(tmp_path / "x.txt")


def test_a_new_format_answers_what_it_does_not_say():
    class Other(Format):
        name, title = "other", "Other"

    for call in (lambda f: f.export(None, "x"), lambda f: f.open("x"), lambda f: f.read_metadata("x")):
        with pytest.raises(NotImplementedError):
            call(Other())
    assert not Other().is_format_of("x")


def test_opening_a_file_imports_neither_tensorflow_nor_keras():
    """What starts in under a second must not pay for them."""
    code = (
        "import sys, kseg_command\n"
        "from kseg.export import load\n"
        "found = load(sys.orig_argv[-1])\n"
        "print(found.output, [name for name in ('keras', 'tensorflow') if name in sys.modules])"
    )
    from kseg.models import preset_file

    command = [sys.executable, "-c", code, str(preset_file("people", "int8"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "logits []"
