import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from kseg.backbones import ResNet
from kseg.cli.main import main
from kseg.errors import ModelError, SettingsError
from kseg.models import FCN, DeepLabV3, from_preset, load_trained, save_to_preset


@pytest.fixture
def model():
    made = DeepLabV3(ResNet(18, filters=2, output_stride=16), 3, filters=3, rates=(2,))
    made.classes, made.palette, made.working_size = ("a", "b", "c"), [(0, 0, 0), (9, 8, 7), (1, 2, 3)], (48, 64)
    return made


IMAGE = np.random.default_rng(0).integers(0, 256, (1, 45, 62, 3)).astype("float32")
CODE = """
import sys, numpy as np, keras, kseg
model = kseg.models.DeepLabV3.from_preset(sys.argv[1])
assert model.classes == ("a", "b", "c") and model.working_size == (48, 64) and not model.compiled
assert not model.backbone.trainable_variables and model.get_layer("score").trainable
np.save(sys.argv[2], keras.ops.convert_to_numpy(model(np.load(sys.argv[3]))))
"""


@pytest.mark.full
def test_it_comes_back_in_another_process(model, tmp_path):
    model.freeze("backbone")
    model.compile()
    save_to_preset(model, tmp_path / "mine", description="Of a test", scores={"val": {"mean_iou": 0.5}})
    assert model.compiled
    np.save(tmp_path / "image.npy", IMAGE)
    words = [str(tmp_path / name) for name in ("mine", "out.npy", "image.npy")]
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), keras.ops.convert_to_numpy(model(IMAGE)))
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert (card["description"], card["classes"], card["size"]) == ("Of a test", ["a", "b", "c"], [48, 64])


@pytest.mark.full
def test_it_is_replaced_as_a_whole_and_nothing_else_is(model, tmp_path):
    model.save_to_preset(tmp_path / "mine")
    changed = model.change_classes(classes=["b", "d"])
    changed.save_to_preset(str(tmp_path / "mine") + "/")
    assert from_preset(tmp_path / "mine").classes == load_trained(str(tmp_path / "mine")).classes == ("b", "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for where in ("papers", "papers/thesis.txt"):
        with pytest.raises(SettingsError, match="is not a preset"):
            model.save_to_preset(tmp_path / where)
    with pytest.raises(SettingsError, match="JSON"):
        model.save_to_preset(tmp_path / "new", scores={"iou": np.ones(2)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "papers"]


def test_the_command_line_takes_it(model, tmp_path, capsys):
    model.save_to_preset(tmp_path / "mine")
    assert main(["info", str(tmp_path / "mine")]) == 0
    assert "DeepLabV3" in capsys.readouterr().out


def test_refusals(model, tmp_path):
    with pytest.raises(ModelError, match=r"not a preset: it has no card\.json"):
        from_preset(tmp_path)
    model.save_to_preset(tmp_path / "mine")
    with pytest.raises(ModelError, match=r"is a DeepLabV3, not a FCN: use kseg\.models\.DeepLabV3"):
        FCN.from_preset(tmp_path / "mine")
    with (tmp_path / "mine" / "model.keras").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="was changed"):
        from_preset(tmp_path / "mine")
    image = keras.Input((4, 4, 3))
    with pytest.raises(ModelError, match="not a network of kseg"):
        save_to_preset(keras.Model(image, image), tmp_path / "other")
