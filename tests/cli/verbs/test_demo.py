import shlex

import cv2

import kseg
from kseg.cli.main import main
from kseg.cli.verbs import demo
from kseg.data import Dataset


def test_the_demo_trains_scores_and_draws(labelled, small_net, tmp_path, monkeypatch, capsys):
    load = kseg.data.load

    def small_shapes(name, root=None, split="train", **limits) -> Dataset:
        if name == "shapes":
            return load("folder", labelled, "train" if split == "train" else "val")
        return load(name, root, split, **limits)

    monkeypatch.setattr("kseg.data.load", small_shapes)
    recipe = kseg.training.RECIPES["shapes_demo"].replace(size=[16, 16], batch_size=2)
    monkeypatch.setitem(kseg.training.RECIPES, "shapes_demo", recipe)
    out = tmp_path / "a demo"
    assert main(["demo", "--out", str(out), "--epochs", "1", "--seed", "3"]) == 0
    said = capsys.readouterr()
    assert "epoch 1/1" in said.err
    assert (
        f"mean IoU {kseg.training.read_metrics(out / 'metrics.csv')[0]['val_mean_iou']:.4f} on 2" in said.out
    )
    assert (out / "table.txt").read_text() in said.out + "\n"
    sheet = cv2.imread(str(out / "grid.png"))
    assert sheet.shape[1] > 3 * 32

    # The commands it names are real: the first three work as they stand.
    commands = [shlex.split(line) for line in said.out.splitlines() if line.startswith("  ")]
    verbs = [words[words.index("kseg") + 1 :] for words in commands if "kseg" in words]
    assert [words[0] for words in verbs] == ["predict", "evaluate", "info", "check-data", "train"]
    for words in verbs[:3]:
        assert main(words) == 0
    assert len(list((out / "predictions").glob("*_overlay.jpg"))) == 2


def test_a_trained_model_is_shown_first(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "shown"), "--no-training"]) == 0
    assert "people found in 2 photographs" in capsys.readouterr().out
    for name in ("astronaut", "officer"):
        mask = cv2.imread(str(tmp_path / "shown" / "people" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert (tmp_path / "shown" / "people" / f"{name}_overlay.jpg").is_file()
        assert 0.25 < (mask > 0).mean() < 0.75  # portraits that fill about half of the image


def test_own_names_of_files_are_quoted(tmp_path):
    shown = demo.next_steps(tmp_path / "it's a run")
    for line in shown.splitlines():
        if line.startswith("  "):
            assert shlex.split(line)
