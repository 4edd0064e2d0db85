"""The driver that makes a preset; whole, in a tiny form, where the development data are."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"
REFERENCES = Path(os.environ.get("KSEG_DATA", "../shared/data")).parent / "reference_models"


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make", TOOLS / "make.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make"] = module  # its dataclass asks for it
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("make")


def step_writing(make, path, content):
    code = f"import pathlib; pathlib.Path({str(path)!r}).write_text({content!r})"
    return make.Step(path, (sys.executable, "-c", code))


def test_steps_are_left_out_where_their_output_is(make, tmp_path, capsys):
    (tmp_path / "a").write_text("there before")
    make.run([step_writing(make, tmp_path / "a", "new"), step_writing(make, tmp_path / "b", "new")])
    assert (tmp_path / "a").read_text() == "there before"
    assert (tmp_path / "b").read_text() == "new"
    assert "1/2" in capsys.readouterr().out


def test_a_step_that_fails_ends_it(make, tmp_path):
    fails = make.Step(tmp_path / "a", (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(SystemExit, match="ended with 7"):
        make.run([fails, step_writing(make, tmp_path / "b", "")])
    assert not (tmp_path / "b").exists()
    silent = make.Step(tmp_path / "a", (sys.executable, "-c", ""))
    with pytest.raises(SystemExit, match="did not write"):
        make.run([silent])


@pytest.mark.parametrize("preset", ["people", "people_hd", "camvid", "people_portrait"])
def test_every_step_is_a_script_that_is_there(make, preset, tmp_path):
    args = make.parser().parse_args([preset, "--data", "d", "--references", "r", "--out", str(tmp_path)])
    steps = make.PRESETS[preset](args)
    assert steps[-1].output == tmp_path / "preset" / f"{preset}.json"
    assert len({step.output for step in steps}) == len(steps)
    for step in steps:
        assert Path(step.command[1]).is_file() or step.command[1:3] == ("-m", "kseg")


@pytest.mark.parametrize("preset", ["people", "people_hd"])
def test_trainings_and_presets_take_the_options_of_their_steps(make, preset, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(TOOLS))
    args = make.parser().parse_args([preset, "--data", "d", "--references", "r", "--out", str(tmp_path)])
    for step in make.PRESETS[preset](args):
        name = Path(step.command[1]).stem
        if name in ("train", "make_preset"):
            monkeypatch.delitem(sys.modules, name, raising=False)
            told = importlib.import_module(name).parser().parse_args(step.command[2:])
            assert str(told.out).startswith(str(tmp_path))


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("preset", ["people", "people_hd", "camvid"])
def test_a_tiny_preset_from_start_to_end(make, preset, tmp_path):
    pytest.importorskip("torch")
    data = os.environ.get("KSEG_DATA", "../shared/data")
    if not Path(data, "camvid").is_dir() or not REFERENCES.is_dir():
        pytest.skip("needs the development data and the reference models beside them")
    command = [preset, "--data", data, "--references", str(REFERENCES), "--out", str(tmp_path), "--cpu"]
    make.main([*command, "--limit", "24", "--steps", "2", "--start", "camvid"])
    files = {file.name for file in (tmp_path / "preset").iterdir()}
    assert files == {f"{preset}.json", f"{preset}.keras", f"{preset}_int8.tflite"}
