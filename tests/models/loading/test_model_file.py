import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, ResNet
from kseg.errors import ModelError
from kseg.models import FCN, load


def test_loads_what_was_saved(tmp_path):
    model = FCN(VGG16(filters=4, name="vgg16"), 3, stride=16)
    model.save(tmp_path / "m.keras")
    assert isinstance(load(tmp_path / "m.keras"), FCN)


def test_loads_another_programs_segmenter(tmp_path):
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Conv2D(2, 1)(image)).save(tmp_path / "m.keras")
    assert load(tmp_path / "m.keras")(np.ones((1, 4, 4, 3))).shape == (1, 4, 4, 2)


def bad_files(folder):
    (folder / "text.keras").write_text("not a model")
    (folder / "model.h5").write_bytes(b"")
    with zipfile.ZipFile(folder / "zip.keras", "w") as archive:
        archive.writestr("other.txt", "another program's")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(folder / "classifier.keras")
    ResNet(18, filters=2).save(folder / "backbone.keras")
    custom = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Lambda(lambda x: x)])
    custom.save(folder / "lambda.keras")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.keras", "no such model file"),
        ("text.keras", "not a Keras model file"),
        ("model.h5", "not a Keras model file"),
        ("zip.keras", "cannot load"),
        ("classifier.keras", "not a segmentation model"),
        ("backbone.keras", "a backbone, and no segmentation model"),
        ("lambda.keras", "cannot load"),
    ],
)
def test_bad_file_is_one_sentence_with_its_name(tmp_path, name, says):
    bad_files(tmp_path)
    with pytest.raises(ModelError, match=says) as caught:
        load(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.full
def test_the_command_finds_every_class_of_a_network(tmp_path):
    """It imports each part of kseg when a verb needs it, and Keras asks for the classes by name."""
    FCN(VGG16(filters=4, name="vgg16"), 3, stride=16).save(tmp_path / "m.keras")
    code = (
        "import json, sys, kseg_command, keras; from kseg.models.loading.model_file import load; load(sys.argv[1]);"
        "print(json.dumps([name for name in keras.saving.get_custom_objects()]))"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "m.keras")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout.splitlines()[-1]))
    homes = ("kseg.layers.", "kseg.backbones.", "kseg.models.")
    wanted = {
        name
        for name, registered in keras.saving.get_custom_objects().items()
        if registered.__module__.startswith(homes)
    }
    assert {"kseg>LiteFPN", "kseg>MobileNetV3", "kseg>Normalize"} <= wanted
    assert wanted - found == set()
