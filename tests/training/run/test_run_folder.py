"""What may go on in a run folder, and what is refused."""

import json
import subprocess
import sys

import pytest

from kseg.errors import SettingsError
from kseg.io.atomic import HOST
from kseg.training import Recipe
from kseg.training.run import checkpoint, run_folder


@pytest.fixture
def describe(network, train, val):
    def make(**changes):
        return run_folder.describe(network(), "small", Recipe(**changes), train, val, 4)

    return make


def begun(folder, describe, network, **changes):
    assert run_folder.open_run(folder, describe(**changes), resume=True) == {}
    checkpoint.save(network(), folder / "last.keras", {"epochs_done": 1})


def test_recipe_json_tells_what_was_resolved(describe, tmp_path):
    run_folder.open_run(tmp_path / "new" / "run", describe(seed=7), resume=True)
    run = json.loads((tmp_path / "new" / "run" / "recipe.json").read_text())
    assert run["recipe"]["seed"] == run["seed"] == 7
    assert run["model"]["name"] == "small"
    assert run["data"]["classes"] == ["ground", "red", "green"]
    assert run["data"]["palette"][1] == [200, 0, 0]
    assert (run["data"]["train"], run["data"]["val"], run["steps_per_epoch"]) == (18, 5, 4)
    assert {"kseg", "keras", "tensorflow", "numpy", "python"} == set(run["versions"])


def test_the_start_and_the_splits_are_kept_and_must_agree(network, train, val, tmp_path):
    def make(**start):
        weights = (1.0, 0.5, 2.0)
        return run_folder.describe(
            network(), "small", Recipe(), train, val, 4, class_weights=weights, start=start
        )

    run_folder.open_run(tmp_path, make(weights="none", init_from="a.keras", root="here"), resume=True)
    checkpoint.save(network(), tmp_path / "last.keras", {"epochs_done": 1})
    run = json.loads((tmp_path / "recipe.json").read_text())
    assert run["start"] == {"weights": "none", "init_from": "a.keras", "root": "here"}
    assert run["class_weights"] == [1.0, 0.5, 2.0]
    assert (run["data"]["train_split"], run["data"]["val_split"]) == (train.split, val.split)
    run_folder.open_run(tmp_path, make(weights="none", init_from="a.keras", root="moved"), resume=True)
    with pytest.raises(SettingsError, match=r'start init_from: "a\.keras" -> null'):
        run_folder.open_run(tmp_path, make(weights="none", init_from=None, root="here"), resume=True)


def start(folder, replace, files, error=None):
    with run_folder.all_or_nothing(folder, replace):
        folder.mkdir(exist_ok=True)
        assert not (folder / "last.keras").exists()
        for name, text in files.items():
            (folder / name).write_text(text)
        if error is not None:
            raise error


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_failed_start_is_undone(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "new", False, {"recipe.json": "{}"}, KeyboardInterrupt())
    assert not (tmp_path / "new").exists()
    with pytest.raises(SettingsError):
        start(tmp_path / "begun", False, {"last.keras": "an epoch"}, SettingsError("later"))
    assert contents(tmp_path / "begun") == {"last.keras": "an epoch"}


def test_a_run_to_be_replaced_comes_back_if_the_new_one_fails(tmp_path):
    old = {"recipe.json": "{}", "last.keras": "old", "best.keras": "best", "notes.txt": "mine"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError):
        start(tmp_path, True, {"recipe.json": "new"}, SettingsError("bad data"))
    assert contents(tmp_path) == old
    start(tmp_path, True, {"last.keras": "new"})
    assert contents(tmp_path) == {"last.keras": "new", "notes.txt": "mine"}


def test_same_settings_go_on_also_for_more_epochs(describe, network, tmp_path):
    begun(tmp_path, describe, network, epochs=2)
    assert run_folder.open_run(tmp_path, describe(epochs=5, source="x"), resume=True) == {"epochs_done": 1}
    assert json.loads((tmp_path / "recipe.json").read_text())["recipe"]["epochs"] == 5


def test_other_settings_are_refused_by_name(describe, network, tmp_path):
    begun(tmp_path, describe, network)
    before = (tmp_path / "recipe.json").read_text()
    with pytest.raises(SettingsError, match=r"batch_size: 8 -> 4; seed: 0 -> 1\. Give another `out`"):
        run_folder.open_run(tmp_path, describe(seed=1, batch_size=4), resume=True)
    assert (tmp_path / "recipe.json").read_text() == before


def test_starting_again_removes_the_old_run_only(describe, network, tmp_path):
    begun(tmp_path, describe, network)
    (tmp_path / "notes.txt").write_text("mine")
    assert run_folder.open_run(tmp_path, describe(seed=1), resume=False) == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["notes.txt", "recipe.json"]


def test_half_written_files_are_removed(describe, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / f".kseg-{HOST}-{process.pid}-0.part.keras").write_text("half")
    run_folder.open_run(tmp_path, describe(), resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"recipe": 5}', '{"data": []}', None])
def test_unreadable_recipe(describe, network, tmp_path, text):
    begun(tmp_path, describe, network)
    (tmp_path / "recipe.json").unlink()
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(SettingsError, match=r"recipe\.json cannot be read"):
        run_folder.open_run(tmp_path, describe(), resume=True)


def test_a_lost_checkpoint_is_not_the_start_of_a_new_run(describe, network, tmp_path):
    begun(tmp_path, describe, network)
    (tmp_path / "last.keras").rename(tmp_path / "last.1.keras")
    assert run_folder.open_run(tmp_path, describe(), resume=True) == {"epochs_done": 1}
    assert (tmp_path / "last.keras").exists()


@pytest.mark.skipif(run_folder.fcntl is None, reason="this system has no such locks")
def test_one_process_trains_into_a_folder(tmp_path):
    for name in ("recipe.json", "last.keras"):
        (tmp_path / name).write_text(name)
    with run_folder.alone(tmp_path):
        with pytest.raises(SettingsError, match="another process trains into"), run_folder.alone(tmp_path):
            pass
        with pytest.raises(SettingsError, match="another process"):
            start(tmp_path, True, {})
    assert contents(tmp_path) == {name: name for name in ("recipe.json", "last.keras")}
    with run_folder.alone(tmp_path):
        pass


def test_out_must_be_a_folder(describe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a file"):
        run_folder.open_run(tmp_path / "file", describe(), resume=True)
