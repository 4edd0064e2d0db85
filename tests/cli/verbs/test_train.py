import argparse
import json

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import kseg
from kseg.cli.main import main
from kseg.cli.verbs import train as verb
from kseg.errors import SettingsError
from kseg.training import RECIPES, Recipe

NAME = "fcn8s_efficientnetlite0"
SHORT = ("--epochs", "1", "--steps-per-epoch", "2", "--batch-size", "2", "--size", "16", "16")


def command(root, out, *more) -> list[str]:
    words = ["train", "--model", NAME, "--data", "folder", "--root", root, "--out", out, *SHORT, *more]
    return [str(word) for word in words]


def test_a_run_its_resumption_and_its_replacement(labelled, small_net, tmp_path, capsys):
    out = tmp_path / "runs" / "a"
    assert main(command(labelled, out, "--seed", "5", "--learning-rate", "0.01")) == 0
    said = capsys.readouterr()
    score = max(row["val_mean_iou"] for row in kseg.training.read_metrics(out / "metrics.csv"))
    assert said.out == f"best val mean IoU {score:.4f} at epoch 1: {out / 'best.keras'}\n"
    assert "epoch 1/1" in said.err
    settings = json.loads((out / "recipe.json").read_text())["recipe"]
    assert (settings["seed"], settings["schedule"]["learning_rate"], settings["size"]) == (5, 0.01, [16, 16])
    assert (settings["model"], settings["data"], settings["steps_per_epoch"]) == (NAME, "folder", 2)

    assert main(command(labelled, out, "--seed", "5", "--learning-rate", "0.01", "--epochs", "2")) == 0
    assert "going on after epoch 1" in capsys.readouterr().err
    assert [row["epoch"] for row in kseg.training.read_metrics(out / "metrics.csv")] == [1, 2]

    assert json.loads((out / "recipe.json").read_text())["start"]["weights"] == "packaged"
    other = ("--seed", "5", "--learning-rate", "0.01", "--epochs", "3", "--weights", "none")
    assert main(command(labelled, out, *other)) == 2
    assert 'start weights: "packaged" -> "none"' in capsys.readouterr().err
    assert main(command(labelled, out, "--seed", "6")) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kseg: ")]
    assert "seed: 5 -> 6" in line
    assert main(command(labelled, out, "--seed", "6", "--no-resume", "--val-split", "none")) == 0
    assert capsys.readouterr().out == f"trained without validation; the model is {out / 'last.keras'}\n"
    assert not (out / "best.keras").exists()


@pytest.mark.full
def test_a_run_starts_from_another_ones_weights(labelled, small_net, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(command(labelled, first, "--seed", "1")) == 0
    # A rate too small to move a float32 weight: what comes out is what went in.
    start = ("--init-from", first / "best.keras", "--learning-rate", "1e-30")
    assert main(command(labelled, second, *start)) == 0
    said = capsys.readouterr().err
    assert f"{first / 'best.keras'}: 2 layers from the file" in said
    before, after = (keras.models.load_model(f / "best.keras", compile=False) for f in (first, second))
    for a, b in zip(before.get_weights(), after.get_weights(), strict=True):
        assert_array_equal(a, b)
    assert np.abs(before.get_weights()[0]).max() > 0


@pytest.mark.full
def test_the_network_of_a_file_for_other_classes(labelled, tmp_path, capsys):
    """An imported model, say: all but its score layer is kept, and neither --model nor --weights has a say."""
    backbone = kseg.backbones.ResNet(18, filters=4, output_stride=8, first_rate="previous")
    given = kseg.models.DeepLabV3(backbone, 7, filters=4, rates=(2,), upsampling="corners")
    file, out = tmp_path / "imported.keras", tmp_path / "run"
    given.save(file)
    words = [*command(labelled, out, "--learning-rate", "1e-30", "--init-from", file)]
    del words[1:3]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "newly initialised: score" in said
    trained = kseg.models.load(out / "last.keras")
    assert isinstance(trained, kseg.models.DeepLabV3)
    assert trained.num_classes != 7
    assert (trained.upsampling, trained.rates) == ("corners", (2,))
    for mine, theirs in zip(trained.trainable_weights, given.trainable_weights, strict=True):
        if not mine.path.startswith("score"):
            np.testing.assert_allclose(mine, theirs, atol=1e-20)  # zeros moved by the rate, which is tiny
    assert main([*words, "--weights", "none"]) == 2
    assert "--weights would do nothing" in capsys.readouterr().err
    assert main(words[:1] + words[1:5]) == 2
    assert "needs --model NAME, or --init-from" in capsys.readouterr().err


def test_a_recipe_from_a_file_or_a_run(labelled, tmp_path):
    recipe = Recipe(name="mine", learning_rate=0.02, epochs=3)
    (tmp_path / "mine.json").write_text(recipe.to_json())
    (tmp_path / "run.json").write_text(json.dumps({"recipe": recipe.to_dict(), "seed": 1}))
    for name in ("mine.json", "run.json"):
        assert verb.read_recipe(str(tmp_path / name)) == recipe


def test_any_setting_by_its_name():
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    words = [
        "--set",
        "momentum=0.5",
        "--set",
        "augment.rotate=5",
        "--set",
        "size=null",
        "--set",
        "optimizer=sgd",
    ]
    changed = verb.changed(Recipe(), parser.parse_args(["--model", "m", "--data", "d", *words]))
    assert changed == Recipe(momentum=0.5, rotate=5, size=None, optimizer="sgd")
    for word in ("momentum", "=3", "no_such=1", "augment.no_such=1", "mirror=5"):
        with pytest.raises(SettingsError, match=r"NAME=VALUE|no_such|mirror"):
            verb.changed(Recipe(), parser.parse_args(["--model", "m", "--data", "d", "--set", word]))


def test_options_become_settings():
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    words = (
        "--ohem 0.25 --sampling 0.5 --freeze-backbone --deterministic --mixed-precision --class-weights 1 2.5"
    )
    args = parser.parse_args(["--model", "m", "--data", "d", *words.split()])
    changed = verb.changed(RECIPES["shapes_demo"], args)
    assert changed == RECIPES["shapes_demo"].replace(
        ohem_fraction=0.25,
        sampling=0.5,
        freeze_backbone=True,
        deterministic=True,
        mixed_precision="mixed_float16",
        class_weights=[1.0, 2.5],
    )
    for words, stages in (("--remat", ("all",)), ("--remat stage1 stage2", ("stage1", "stage2"))):
        args = parser.parse_args(["--model", "m", "--data", "d", *words.split()])
        assert verb.changed(RECIPES["shapes_demo"], args).remat == stages
    unchanged = verb.changed(RECIPES["shapes_demo"], parser.parse_args(["--model", "m", "--data", "d"]))
    assert unchanged == RECIPES["shapes_demo"]


def test_losses_of_the_papers_become_settings():
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    start, recipe = ["--model", "m", "--data", "d"], RECIPES["shapes_demo"]
    scales = parser.parse_args([*start, "--label-stride", "8", "--input-scales", "0.5", "1"])
    assert verb.changed(recipe, scales) == recipe.replace(label_stride=8, input_scales=(0.5, 1))
    auxiliary = parser.parse_args([*start, "--auxiliary-weight", "0.4"])
    assert verb.changed(recipe, auxiliary) == recipe.replace(auxiliary_weight=0.4)


def test_class_weights_are_a_name_or_numbers():
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)

    def weights(*words):
        args = parser.parse_args(["--model", "m", "--data", "d", "--class-weights", *words])
        return verb.changed(RECIPES["shapes_demo"], args).class_weights

    assert weights("median_frequency") == "median_frequency"
    assert weights("0.5") == (0.5,)
    assert weights("road=2", "3=.5", "a=b=1") == {"road": 2.0, "3": 0.5, "a=b": 1.0}
    with pytest.raises(SettingsError, match="1 two"):
        weights("1", "two")


def test_the_outcome_names_files_that_are_there(tmp_path):
    nan, some = {"epoch": 1, "val_mean_iou": float("nan")}, {"epoch": 2, "val_mean_iou": 0.25}
    assert verb.outcome([{"epoch": 1}], tmp_path).startswith("trained without validation; the model is")
    assert verb.outcome([nan], tmp_path).startswith("no validation gave a score")
    assert "best.keras is gone; the model is" in verb.outcome([nan, some], tmp_path)
    (tmp_path / "best.keras").touch()
    assert (
        verb.outcome([nan, some], tmp_path) == f"best val mean IoU 0.2500 at epoch 2: {tmp_path}/best.keras"
    )


def failure(capsys, argv) -> str:
    assert main(argv) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kseg: ")]
    return line


@pytest.mark.full
def test_mistakes_leave_no_run_folder(labelled, small_net, tmp_path, capsys):
    out = tmp_path / "out"
    assert "nowhere" in failure(capsys, command(tmp_path / "nowhere", out))
    assert "did you mean" in failure(capsys, command(labelled, out, "--model", "fcn8s_efficientnetlite"))
    assert "nosuch" in failure(capsys, command(labelled, out, "--recipe", "nosuch"))
    assert "no split 'test'" in failure(capsys, command(labelled, out, "--val-split", "test"))
    (tmp_path / "broken.json").write_text("{")
    assert "broken.json" in failure(capsys, command(labelled, out, "--recipe", tmp_path / "broken.json"))
    assert "no.keras" in failure(capsys, command(labelled, out, "--init-from", tmp_path / "no.keras"))
    (labelled / "images" / "train" / "t0.png").write_bytes(b"not a picture")
    assert str(labelled / "images" / "train" / "t0.png") in failure(capsys, command(labelled, out))
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("the user's own")
    assert "t0.png" in failure(capsys, command(labelled, out))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.full
def test_a_stage_without_the_one_before_is_told_of(labelled, small_net, tmp_path, capsys):
    recipe = tmp_path / "second.json"
    recipe.write_text(Recipe(name="second", starts_from="first").to_json())
    assert main(command(labelled, tmp_path / "out", "--recipe", recipe)) == 0
    assert "second goes on from a network that first trained" in capsys.readouterr().err
    start = ("--recipe", recipe, "--init-from", tmp_path / "out" / "best.keras")
    assert main(command(labelled, tmp_path / "next", *start)) == 0
    assert "goes on from" not in capsys.readouterr().err


def test_options_against_faults_and_for_devices(labelled, small_net, tmp_path, capsys):
    out = tmp_path / "run"
    options = "--strategy mirrored --checkpoint-every 1 --keep 2 --skip-bad --accumulate 2 --ema 0.9"
    assert main(command(labelled, out, "--batch-size", "1", *options.split())) == 0
    capsys.readouterr()
    settings = json.loads((out / "recipe.json").read_text())["recipe"]
    assert (settings["accumulate"], settings["ema"]) == (2, 0.9)
    assert (out / "last.1.keras").exists()
    last, best = (keras.models.load_model(out / f"{name}.keras", compile=False) for name in ("last", "best"))
    assert any(np.any(a != b) for a, b in zip(last.get_weights(), best.get_weights(), strict=True))
    for wrong in (("--checkpoint-every", "soon"), ("--strategy", "multiworker"), ("--devices", "2")):
        line = failure(capsys, command(labelled, tmp_path / "other", *wrong))
        assert wrong[0].removeprefix("--").split("-")[0] in line or "TF_CONFIG" in line
        assert not (tmp_path / "other").exists()


@pytest.mark.full
def test_a_loss_by_name_and_of_ones_own(labelled, small_net, tmp_path, capsys):
    assert main(command(labelled, tmp_path / "a", "--loss", "cross_entropy + 0.5 * dice")) == 0
    recipe = json.loads((tmp_path / "a" / "recipe.json").read_text())["recipe"]
    assert recipe["loss"]["class"] == "kseg>WeightedSum"
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "def half(labels, logits):\n"
        "    return 0.5 * keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)\n"
    )
    own = ("--loss", f"{tmp_path / 'mine.py'}:half", "--epochs")
    assert main(command(labelled, tmp_path / "b", *own, "1")) == 0
    assert main(command(labelled, tmp_path / "b", *own, "2")) == 0
    assert "going on after epoch 1" in capsys.readouterr().err
    for word in ("dise", f"{tmp_path / 'mine.py'}:third", f"{tmp_path / 'no.py'}:half"):
        assert "loss" in failure(capsys, command(labelled, tmp_path / "c", "--loss", word))


@pytest.mark.full
def test_a_teacher_by_its_file(labelled, small_net, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(command(labelled, first)) == 0
    taught = (
        "--teacher",
        first / "best.keras",
        "--teacher-weight",
        "0.25",
        "--unlabelled",
        labelled / "images",
    )
    assert main(command(labelled, second, *taught)) == 0
    told = json.loads((second / "recipe.json").read_text())
    assert told["start"]["teacher"] == {
        "model": str(first / "best.keras"),
        "weight": 0.25,
        "classes": None,
    }
    assert told["data"]["train"] > json.loads((first / "recipe.json").read_text())["data"]["train"]
    capsys.readouterr()
    some = ("--teacher", first / "best.keras", "--teacher-classes", "left=1")
    assert main(command(labelled, tmp_path / "some", *some)) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "has no class" in line]
    assert line.startswith(
        f"kseg: The teacher {first / 'best.keras'} has no class for the data's class right: "
    )
    for more, message in (
        (("--teacher-weight", "0.5"), "--teacher-weight would do nothing"),
        (("--unlabelled", labelled), "--unlabelled would do nothing"),
        (("--teacher", tmp_path / "none.keras"), "none.keras"),
        (("--teacher", first / "best.keras", "--teacher-classes", "person"), "give CLASS=THEIRS"),
        (("--teacher", first / "best.keras", "--teacher-classes", "tree=1"), "name 'tree'"),
    ):
        assert main(command(labelled, tmp_path / "third", *more)) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "third").exists()
