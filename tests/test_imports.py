"""What `import kseg` gives: every exported name is there, and every class is known to Keras."""

import importlib
import json
import subprocess
import sys

import pytest

import kseg

PARTS = [part for part in kseg.__all__ if part not in ("KsegError", "__version__", "predict", "predictor")]


@pytest.mark.parametrize("part", PARTS)
def test_exported_names_exist(part):
    module = importlib.import_module(f"kseg.{part}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert module.__doc__


@pytest.mark.parametrize("part", PARTS)
def test_public_names_have_docstrings(part):
    module = importlib.import_module(f"kseg.{part}")
    public = [getattr(module, name) for name in module.__all__]
    assert [thing.__name__ for thing in public if callable(thing) and not thing.__doc__] == []


# The names that scripts and checks build on (the design's list, as far as it is built).
NAMES = """
    models.build models.names models.load models.FCN
    backbones.VGG16 backbones.EfficientNetLite
    backbones.from_classifier backbones.convolutionalize backbones.dilate
    layers.ResizeLike layers.BilinearUpsampling layers.Normalize layers.CropLike
    data.load data.datasets data.pipeline data.Augment data.Dataset data.read_image data.read_mask
    losses.CrossEntropy metrics.MeanIoU metrics.ConfusionMatrix
    training.Recipe training.RECIPES training.fit training.initialise_from
    inference.Predictor evaluation.evaluate
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_names_to_build_on(name):
    part, attribute = name.split(".")
    assert hasattr(getattr(kseg, part), attribute)


def test_importing_kseg_registers_its_classes(tmp_path):
    """Also in a user's own program of that name, which is no command."""
    (tmp_path / "kseg").write_text(
        "import json, kseg, keras\n"
        "print(json.dumps(sorted(name for name in keras.saving.get_custom_objects() if name[:5] == 'kseg>')))"
    )
    command = [sys.executable, str(tmp_path / "kseg"), "-m", "kseg"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    registered = set(json.loads(done.stdout.splitlines()[-1]))
    wanted = {"FCN", "VGG16", "EfficientNetLite", "Normalize", "ResizeLike", "BilinearUpsampling", "CropLike"}
    wanted |= {"CrossEntropy", "MeanIoU", "ConfusionMatrix", "AdamW", "SGD", "Poly", "Step"}
    assert {f"kseg>{name}" for name in wanted} - registered == set()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("-m kseg predict", True),
        ("-mkseg", True),
        ("-X dev -W error -Im kseg", True),
        ("kseg -m kseg", False),
        ("-c -m kseg", False),
        ("-m pytest kseg", False),
        ("", False),
        ("/usr/bin/kseg train", False),
    ],
)
def test_what_counts_as_the_command(words, command, monkeypatch):
    monkeypatch.delitem(sys.modules, "kseg_command", raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python", *words.split()])
    assert kseg._is_command() == command
