import json

import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main
from kseg.cli.verbs.info import stages


@pytest.mark.full
def test_a_net_of_the_catalog(capsys):
    assert main(["info", "fcn8s_efficientnetlite0", "--classes", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    net = kseg.models.build("fcn8s_efficientnetlite0", 7, weights=None)
    sizes = {
        part: sum(v.numpy().size for v in of.variables) for part, of in (("all", net), ("b", net.backbone))
    }
    assert found["parameters"]["total"] == sizes["all"]
    assert found["parameters"]["backbone"] == sizes["b"]
    assert found["parameters"]["head"] == sizes["all"] - sizes["b"]
    assert found["output"] == [None, None, None, 7]
    # EfficientNet (Tan and Le 2019), table 1: the map halves five times, and stage 5 ends with 1280 channels.
    assert [stage["stride"] for stage in found["stages"]] == [2, 4, 8, 16, 32]
    assert [stage["at_512x512"] for stage in found["stages"]] == [[512 // s] * 2 for s in (2, 4, 8, 16, 32)]
    assert found["stages"][-1]["channels"] == 1280
    # Kernels and strides of the same table, by the recurrence: from one stride to the next, then to the end.
    size, step = 1, 1
    kernels = [(3, 2), (3, 1), (3, 2), (3, 1), (5, 2), (5, 1), (3, 2), (3, 1), (3, 1), (5, 1), (5, 1), (5, 1)]
    fields = {}
    for kernel, stride in [*kernels, (5, 2), (5, 1), (5, 1), (5, 1), (3, 1)]:
        fields[step] = size  # of the last layer before a stride
        size, step = size + (kernel - 1) * step, step * stride
        fields[step] = size
    assert [stage["receptive_field"] for stage in found["stages"]] == [
        [fields[s]] * 2 for s in (2, 4, 8, 16, 32)
    ]
    # Two cells of stride 32, 16 and 8 are read in each direction to enlarge the scores.
    assert found["receptive_field"] == [size + 32 + 16 + 8] * 2


def test_stages_of_a_net_that_scales_its_picture():
    """The preset people is one: 512 pixels become 384, which the map halves five times."""
    found = stages(kseg.backbones.EfficientNetLite(weights=None, padding="image", image_scale=0.75))
    assert [stage["at_512x512"] for stage in found] == [[384 // s] * 2 for s in (2, 4, 8, 16, 32)]
    assert [stage["stride"] for stage in found] == [2.67, 5.33, 10.67, 21.33, 42.67]


def test_a_model_file_with_its_classes(tmp_path, capsys):
    model = kseg.models.FCN(kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=2), 3, stride=32)
    model.classes = ("ground", "cat", "dog")
    model.save(tmp_path / "m.keras")
    assert main(["info", str(tmp_path / "m.keras")]) == 0
    shown = capsys.readouterr().out
    assert "FCN" in shown
    assert "input ?x?x?x3" in shown
    assert shown.endswith("classes\n    0 ground\n    1 cat\n    2 dog\n")


def test_a_plain_keras_model_and_its_layers(model_file, capsys):
    assert main(["info", str(model_file), "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "conv2d" in shown
    assert f"total     {3 * 3 * 3 * 4 + 4 + 4 * 3 + 3:>13,}" in shown
    assert "stages" not in shown
    assert "receptive field of an output pixel: 3x3" in shown


def test_mistakes(tmp_path, mistake):
    assert "did you mean fcn8s_vgg16" in mistake("info", "fcn8_vgg16")
    assert f"{tmp_path / 'no.keras'}" in mistake("info", tmp_path / "no.keras")
    (tmp_path / "x.keras").write_bytes(b"PK\x03\x04 of another program")
    assert f"{tmp_path / 'x.keras'}" in mistake("info", tmp_path / "x.keras")


def test_activations_are_drawn(labelled, model_file, tmp_path, capsys, mistake):
    picture, out = labelled / "images" / "val" / "v0.png", tmp_path / "a" / "b"
    words = ["info", str(model_file), "--activations", str(picture), "--out", str(out)]
    assert main(words) == 0
    path = out / "v0_activations.png"
    assert capsys.readouterr().out.endswith(f"activations drawn to {path}\n")
    model = keras.models.load_model(model_file, compile=False)
    expected = kseg.inference.activation_sheet(model, kseg.data.read_image(picture))
    np.testing.assert_array_equal(kseg.data.read_image(path), expected)
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["activations"] == str(path)
    assert "no.png" in mistake("info", model_file, "--activations", tmp_path / "no.png")
    assert "limit of 99" in mistake("info", model_file, "--activations", picture, "--max-pixels", 99)
