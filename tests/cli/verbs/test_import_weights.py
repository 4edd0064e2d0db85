import json

import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main
from kseg.cli.verbs.import_weights import groups
from tests.weights.layouts.conftest import score_state, unit_state
from tests.weights.layouts.test_semseg import narrow_state


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "net.npz"
    np.savez(path, **narrow_state(classes=19))
    return path


@pytest.mark.full
def test_a_model_and_its_card(source, tmp_path, capsys):
    out = tmp_path / "m.keras"
    line = [
        "import-weights",
        str(source),
        "--out",
        str(out),
        "--classes",
        "cityscapes",
        "--palette",
        "cityscapes",
    ]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "semseg/pspnet" in said
    assert "2 left out (aux 2)" in said
    assert "licence: MIT" in said
    model = kseg.models.load(out)
    assert model.classes[0] == "road"
    assert model.palette[0] == (128, 64, 128)
    assert json.loads(out.with_suffix(".json").read_text())["file"] == "net.npz"


@pytest.mark.full
def test_json_and_names_from_a_file(source, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"class {i}" for i in range(19)))
    line = [
        "import-weights",
        str(source),
        "--out",
        str(tmp_path / "m.keras"),
        "--names",
        str(names),
        "--json",
    ]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["classes"][18] == "class 18"


def test_list(source, capsys):
    assert main(["import-weights", str(source), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["cls.4.weight", "19x4x1x1", "float32"] for line in lines)
    assert lines[-1] == "looks like semseg/pspnet"
    assert main(["import-weights", str(source), "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrays"]["cls.4.bias"]["shape"] == [19]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "--out"),
        (["--list", "--set", "aspp_rates=1"], "--set would do nothing"),
        (["--out", "m.keras", "--set", "aspp_rates=1"], "no setting 'aspp_rates'"),
        (["--out", "m.keras", "--set", "aspp_rates"], "NAME=VALUE"),
        (["--out", "m.keras", "--part", "ema"], "no part 'ema'"),
        (["--out", "m.keras", "--source", "torchvision/fcn"], "looks like semseg/pspnet"),
        (["--list", "--palette", "voc"], "--palette would do nothing"),
        (["--out", "m.keras", "--source", "x/y"], "no source"),
        (["--out", "m.h5"], ".keras"),
        (["--out", "m.keras", "--palette", "voc"], "needs 19 entries"),
        (["--out", "m.keras", "--download"], "kseg models --published"),
    ],
)
def test_mistakes_are_one_line(source, tmp_path, monkeypatch, capsys, more, words):
    monkeypatch.chdir(tmp_path)
    assert main(["import-weights", str(source), *more]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_none(tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(b"nothing")
    assert main(["import-weights", str(tmp_path / "x.pth"), "--list"]) == 2
    assert "x.pth" in capsys.readouterr().err


def test_published_files_are_listed(capsys):
    assert main(["models", "--published"]) == 0
    said = capsys.readouterr().out
    assert "fcn_resnet50_coco-1167a1af.pth  (torchvision/fcn, 135 MiB, SHA-256 1167a1af...)" in said
    assert main(["models", "--published", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["sha256_prefix"] == "1167a1af"


def test_what_was_left_out_is_grouped():
    assert groups(()) == ""
    assert groups(("aux.0.weight", "aux.1.weight", "bn.num_batches_tracked", "x/0")) == (
        " (aux 2, num_batches_tracked 1, x 1)"
    )


@pytest.mark.full
def test_the_second_head_goes_into_a_file_of_its_own(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = narrow_state(classes=19)
    width = arrays["layer3.0.conv2.weight"].shape[0]  # of stage 4, of basic blocks
    arrays |= unit_state(rng, "aux.0", "aux.1", width, 4, 3) | score_state(rng, "aux.4", 4, 19)
    np.savez(tmp_path / "net.npz", **arrays)
    line = ["import-weights", str(tmp_path / "net.npz"), "--out", str(tmp_path / "m.keras")]
    assert main([*line, "--auxiliary", str(tmp_path / "m.keras")]) == 2
    assert main([*line, "--auxiliary", str(tmp_path / "full.keras")]) == 0
    full = keras.saving.load_model(tmp_path / "full.keras")
    kernel = arrays["aux.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(full.get_layer("auxiliary_conv").kernel, kernel)
    assert "left out" in capsys.readouterr().out
