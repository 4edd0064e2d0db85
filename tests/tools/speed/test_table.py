"""The speed table asks both sides in turns, and says what it could not measure."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

SPEED = Path(__file__).resolve().parents[3] / "tools" / "speed"
SIDES = """
import time
from pathlib import Path
LOG = Path(__file__).with_name("log")

def side(name, seconds):
    def work():
        with LOG.open("a") as log:
            log.write(name)
        time.sleep(seconds)
    return work

def slow(): return side("A", 0.06)
def fast(): return side("B", 0.01)
def gone(): raise ImportError("No module named 'peer'")
def broken(): raise ValueError("broken")
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The tool with sides that only sleep, and write down when they were asked."""
    (tmp_path / "tools" / "speed").mkdir(parents=True)
    folder = tmp_path / "tools" / "speed"
    shutil.copy(SPEED / "worker.py", folder)
    shutil.copy(SPEED.parent / "measuring.py", folder.parent)
    (folder / "sides.py").write_text(SIDES)
    spec = importlib.util.spec_from_file_location("speed_table", SPEED / "table.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "speed_table", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", folder)
    return module


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_both_sides_take_turns_and_the_ratio_is_the_peers_time_by_ones_own(table, tmp_path):
    row = table.Row("sleeping", "fast", "slow", "the sleeper", 2.0, rounds=3, memory=True)
    time, memory = map(cells, table.measured(row))
    assert time[:2] == ["sleeping", "the sleeper"]
    assert float(time[4].strip("*")) > 1
    assert float(memory[4].strip("*")) > 0
    assert (
        tmp_path / "tools" / "speed" / "log"
    ).read_text() == "BA" + "BABABA"  # one each that is not counted


def test_what_is_missing_is_said(table):
    (line,) = table.measured(table.Row("x", "fast", "gone", "peer", 2.0, rounds=1))
    assert "not measured: No module named 'peer'" in line
    (line,) = table.measured(table.Row("x", "broken", None, "", 2.0, rounds=1))
    assert "broken broke off" in line


def test_the_page_has_every_row_and_the_machine(table, tmp_path, capsys):
    rows = (table.Row("one", "fast", None, "", 0.3, 1), table.Row("two", "gone", "fast", "peer", 1.0, 1))
    table.written(rows, tmp_path / "speed.md")
    page = (tmp_path / "speed.md").read_text()
    assert [cells(line)[0] for line in page.splitlines() if line.startswith("| ")][1:] == ["one", "two"]
    assert "cores" in page
    assert "keras " in page


def test_every_row_names_sides_that_are_there():
    spec = importlib.util.spec_from_file_location("speed_table_rows", SPEED / "table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["speed_table_rows"] = module
    spec.loader.exec_module(module)
    defined = (SPEED / "sides.py").read_text()
    for row in module.ROWS:
        for name in filter(None, (row.kseg, row.peer)):
            assert f"def {name}()" in defined
    del sys.modules["speed_table_rows"]
